"""What transformers computes of FOLDER: takes JSON objects, one a line, and answers each in one line.

In: `prompts`, and `tokens`, the most to generate. Out, per prompt: `text`, greedy, and `logprobs` of every
token of the vocabulary at the first place; `vocabulary`, their spellings.
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

torch.set_num_threads(1)
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
vocabulary = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))


def computed(prompt, tokens):
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    first = torch.log_softmax(model(ids).logits[0, -1].double(), -1)
    made = model.generate(ids, max_new_tokens=tokens, do_sample=False)[0]
    whole, before = (tokenizer.decode(one, skip_special_tokens=True) for one in (made, ids[0]))
    assert whole.startswith(before)
    return {"text": whole[len(before) :], "logprobs": first.tolist()}


with torch.no_grad():
    for line in sys.stdin:
        asked = json.loads(line)
        found = [computed(prompt, asked["tokens"]) for prompt in asked["prompts"]]
        sys.stdout.write(json.dumps({"answers": found, "vocabulary": vocabulary}) + "\n")
        sys.stdout.flush()
