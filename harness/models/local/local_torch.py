"""The part of a local model that needs torch: loading, generating, scoring."""

from __future__ import annotations

import importlib
import os
import re
import threading
from pathlib import Path
from typing import Any

from harness.models.local.weights import weights_sha

_TOP = 5


class Invalid(ValueError):
    """A request the model cannot serve; the text is TGI's where TGI has one."""


class LocalModel:
    """A causal language model and its tokenizer.

    Args:
        path: a local folder, or a name on the hub.
    """

    def __init__(self, path: str) -> None:
        torch: Any = importlib.import_module("torch")
        transformers: Any = importlib.import_module("transformers")
        self.name = path
        self._torch = torch
        self._transformers = transformers
        cuda = bool(torch.cuda.is_available())
        if not cuda:
            torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
        self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(path)
        dtype = torch.bfloat16 if cuda else torch.float32
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=dtype)
        self._model: Any = model.to("cuda" if cuda else "cpu").eval()
        self.max_total = int(getattr(self._model.config, "max_position_embeddings", 0) or 4096)
        commit: Any = getattr(self._model.config, "_commit_hash", None)  # of a model from the hub
        self.sha = weights_sha(Path(path)) or str(commit or "")
        self._texts: list[str] | None = None

    def template_config(self) -> dict[str, Any]:
        """What harness.templates reads from a tokenizer_config.json."""
        names = ("bos_token", "eos_token", "unk_token", "pad_token")
        tokens = {name: getattr(self._tokenizer, name, None) or "" for name in names}
        told = {name: getattr(self._tokenizer, name, None) for name in ("chat_template", "add_bos_token")}
        return told | tokens

    def tokenize(self, text: str) -> list[dict[str, Any]]:
        """List the prompt's tokens with the special ones the server adds."""
        ids = self._tokenizer(text)["input_ids"]
        return [{"id": i, "text": self._tokenizer.decode([i]), "start": 0, "stop": 0} for i in ids]

    def generate(self, prompt: str, sent: dict[str, Any], cancelled: threading.Event) -> dict[str, Any]:
        """Answer one TGI request.

        Raises:
            Invalid: TGI would refuse it too.
        """
        if cancelled.is_set():
            raise Invalid("cancelled")
        sent = {key: value for key, value in sent.items() if value is not None}  # null is not sent
        ids = self._tokenizer(prompt)["input_ids"]
        if cut := sent.get("truncate"):
            ids = ids[-int(cut) :]
        room = int(sent.get("max_new_tokens") or 100)
        if not ids:
            raise Invalid("`inputs` cannot be empty")
        if len(ids) + room > self.max_total:
            raise Invalid(
                f"`inputs` tokens + `max_new_tokens` must be <= {self.max_total}. "
                f"Given: {len(ids)} `inputs` tokens and {room} `max_new_tokens`"
            )
        inputs = self._torch.tensor([ids], device=self._model.device)
        with self._torch.inference_mode():
            if sent.get("grammar") or sent.get("top_n_tokens") or sent.get("decoder_input_details"):
                return self._score(inputs, sent)
            return self._write(inputs, sent, room, cancelled)

    def _write(
        self, inputs: Any, sent: dict[str, Any], room: int, cancelled: threading.Event
    ) -> dict[str, Any]:
        start, stops = inputs.shape[1], list(sent.get("stop") or ())
        sampling = bool(sent.get("do_sample") or sent.get("temperature", 1.0) != 1.0 or sent.get("top_p"))
        chosen: dict[str, Any] = {"do_sample": sampling}
        if sampling:
            chosen |= {
                "temperature": sent.get("temperature", 1.0),
                "top_p": sent.get("top_p", 1.0),
                "top_k": 0,
            }
            self._torch.manual_seed(int(sent.get("seed") or 0))
        stopped = {"by": ""}

        def halt(ids: Any, scores: Any, **_: Any) -> Any:
            if cancelled.is_set():
                return True
            text = self._text(ids[0, start:]) if stops else ""
            stopped["by"] = next((stop for stop in stops if text.endswith(stop)), "")
            return bool(stopped["by"])

        mask = self._torch.ones_like(inputs)
        output = self._model.generate(
            inputs,
            attention_mask=mask,
            max_new_tokens=room,
            stopping_criteria=[halt],
            pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id or 0,
            **chosen,
        )[0, start:]
        ended = len(output) < room or int(output[-1]) == self._tokenizer.eos_token_id
        finish = "stop_sequence" if stopped["by"] else "eos_token" if ended else "length"
        seed = sent.get("seed") if sampling else None
        return self._body(self._text(output), start, len(output), finish, seed=seed)

    def _score(self, inputs: Any, sent: dict[str, Any]) -> dict[str, Any]:
        """One greedy token with the alternatives, and the prompt's own log-probabilities when asked."""
        logits = self._model(inputs).logits[0].float()
        last = logits[-1]
        if grammar := sent.get("grammar"):
            allowed = self._allowed(str(grammar["value"]))
            masked = self._torch.full_like(last, float("-inf"))
            masked[allowed] = last[allowed]
            last = masked
        top = self._torch.log_softmax(last, -1).topk(min(int(sent.get("top_n_tokens") or 1), _TOP))
        tokens = [
            self._token(int(i), float(p))
            for i, p in zip(top.indices, top.values, strict=True)
            if p > float("-inf")
        ]
        body = self._body(tokens[0]["text"], inputs.shape[1], 1, "length")
        body["details"] |= {"tokens": tokens[:1], "top_tokens": [tokens]}
        if sent.get("decoder_input_details"):
            ids = inputs[0].tolist()
            own = self._torch.log_softmax(logits[:-1], -1).gather(1, inputs[0, 1:, None])[:, 0].tolist()
            pairs = zip(ids, [None, *own], strict=True)
            body["details"]["prefill"] = [self._token(i, p) for i, p in pairs]
        return body

    def _allowed(self, pattern: str) -> list[int]:
        """Tokens whose whole text the grammar takes; choices of several tokens are not for this server."""
        if self._texts is None:
            pieces = self._tokenizer.convert_ids_to_tokens(range(len(self._tokenizer)))
            self._texts = [str(p).replace("\u2581", " ").replace("\u0120", " ") for p in pieces]
        wanted = re.compile(pattern)
        width = int(self._model.config.vocab_size)
        allowed = [i for i, text in enumerate(self._texts[:width]) if wanted.fullmatch(text)]
        if not allowed:
            raise Invalid(f"grammar: no single token matches {pattern}")
        return allowed

    def _text(self, ids: Any) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _token(self, token: int, logprob: float | None) -> dict[str, Any]:
        piece = (
            str(self._tokenizer.convert_ids_to_tokens(token)).replace("\u2581", " ").replace("\u0120", " ")
        )
        special = token in self._tokenizer.all_special_ids
        return {"id": token, "text": piece, "logprob": logprob, "special": special}

    def _body(
        self, text: str, prompt: int, count: int, finish: str, *, seed: int | None = None
    ) -> dict[str, Any]:
        details: dict[str, Any] = {"finish_reason": finish, "generated_tokens": count, "seed": seed}
        details |= {"prefill": [], "tokens": [{"id": 0, "text": text, "logprob": 0.0, "special": False}]}
        return {"generated_text": text, "details": details, "prompt_tokens": prompt}
