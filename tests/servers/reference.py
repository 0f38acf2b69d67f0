"""What transformers computes itself: FOLDER, and a JSON object on standard input; writes JSON.

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
asked = json.load(sys.stdin)
found = []
with torch.no_grad():
    for prompt in asked["prompts"]:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        first = torch.log_softmax(model(ids).logits[0, -1].double(), -1)
        made = model.generate(ids, max_new_tokens=asked["tokens"], do_sample=False)[0]
        whole, before = (tokenizer.decode(one, skip_special_tokens=True) for one in (made, ids[0]))
        assert whole.startswith(before)
        found.append({"text": whole[len(before) :], "logprobs": first.tolist()})
vocabulary = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
json.dump({"answers": found, "vocabulary": vocabulary}, sys.stdout)
