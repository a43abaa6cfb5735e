"""An export is read by the libraries that fine-tune: `datasets` and trl's formatter.

They are no dependency of the project: `make check-export` installs them into a folder of their own,
once (330 MB), and runs this. What the format must be is tested without them in
`tests/unit/app/export/test_export.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.export.exporter import ExportRequest, export
from app.storage.store import SqlStore
from tests.support.runs.kept import run

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "patchwright-tests"
WANTED = ("datasets>=4", "transformers>=5", "jinja2>=3", "trl>=1")
READ = """
import json, sys
from datasets import load_dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from trl.data_utils import apply_chat_template, is_conversational

data = load_dataset(sys.argv[1], cache_dir=sys.argv[2])
row = data["train"][1]
words = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
words.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]")
tokenizer.chat_template = (
    "{% for t in tools %}<tool>{{ t.function.name }}</tool>{% endfor %}"
    "{% for m in messages %}<{{ m.role }}>"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}"
    "{{ c.function.arguments }}</call>{% endfor %}"
    "{% endfor %}"
)
tools = json.loads(row["tools"])
text = apply_chat_template({"messages": row["messages"]}, tokenizer, tools=tools)["text"]
print(json.dumps({
    "splits": {name: len(part) for name, part in data.items()},
    "columns": data["train"].column_names,
    "conversational": is_conversational(row),
    "messages": row["messages"],
    "text": text,
}))
"""


@pytest.fixture(scope="module")
def libraries() -> Path:
    """A Python that has the libraries."""
    if not os.environ.get("PATCHWRIGHT_CHECK_EXPORT"):
        pytest.skip("installs the libraries: `make check-export` runs it")
    home = CACHE / "export"
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        install = (
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [str(python), "-m", "pip", "install", "-q", *WANTED[:-1]],
            # trl's formatter needs no torch, which its requirements would bring.
            [str(python), "-m", "pip", "install", "-q", "--no-deps", WANTED[-1]],
        )
        for command in install:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"they cannot be installed here: {done.stderr[-300:]}"
        (home / "complete").touch()
    return python


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_datasets_and_trl_read_an_export(libraries: Path, tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path / 'x.db'}")
    for number, repository in enumerate(("octo/calc", "octo/calc", "octo/other", "octo/third")):
        run(store, number + 1, repository)
    export(store, ExportRequest(out=tmp_path / "out", validation=0.25))
    read = subprocess.run(
        [str(libraries), "-c", READ, str(tmp_path / "out"), str(tmp_path / "cache")],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert read.returncode == 0, read.stderr[-3000:]
    found = json.loads(read.stdout.splitlines()[-1])
    assert set(found["splits"]) == {"train", "validation"}
    assert sum(found["splits"].values()) == 8
    assert found["conversational"] is True
    assert {"reward", "outcome", "gate", "tools"} <= set(found["columns"])
    assert "<tool>submit</tool>" in found["text"]
    assert (
        '<assistant><think>I look.</think><call>bash{"command": "ls  -a"}</call>' in found["text"]
    )
    assert "<tool>ok" in found["text"]
    line = json.loads((tmp_path / "out" / "train.jsonl").read_text().splitlines()[1])
    for read_message, written in zip(found["messages"], line["messages"], strict=True):
        assert {k: v for k, v in read_message.items() if v is not None} == written
