"""Runs llama.cpp's HTTP server from the wheel `xllamacpp`: FILE.gguf PORT."""

import sys

import xllamacpp

CONTEXT, SLOTS = 2048, 4

chosen = xllamacpp.CommonParams()
chosen.model.path, chosen.port = sys.argv[1], int(sys.argv[2])
chosen.n_parallel, chosen.n_ctx = SLOTS, SLOTS * CONTEXT
chosen.cpuparams.n_threads = chosen.cpuparams_batch.n_threads = 1  # two would spin against each other
server = xllamacpp.Server(chosen)
sys.stdin.read()
