"""Write docs/records.md and docs/record.schema.json from benchmark/record.py: scripts/records_doc.py [FOLDER]."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from benchmark.cli import Parser, guarded
from benchmark.record import Record

DOCS = Path(__file__).parents[1] / "docs"
INTRODUCTION = """# Records

Made by `python scripts/records_doc.py` from `benchmark/record.py`; do not edit by hand.

A record is one JSON file that holds every number of one run and what is needed to trust it. A run is one attack, one
defense, one data set, one architecture, one recipe and one seed. Its record lies in the store, at
`records/<first two digits of its key>/<key>.json`; records published with the leaderboard lie in
`leaderboard/records/`. It is written once, when the run is finished, and never changed. The weights that it was
measured on stay in the store; the record names them by their hashes.

- **Scores are counts**, `hits` of `n` rows, so that rates, means and intervals can be formed as they are needed.
- **Five victims** are scored: `clean`, trained without the attack; `sham`, made by the attack's own procedure without
  the backdoor (null where that is the clean one); `backdoored`; `defended`, the backdoored one after the defense; and
  `control`, the sham or clean one after the same defense. What the defense costs and alarms without a backdoor is
  read from the control.
- **Stages** are these victims as keys of `costs`, `curves` and `weights`.
- **Null** means that there is nothing to measure. No field is ever missing and none is NaN.
- The `config` repeats the run: constructors by `_target_` with all their options.

Read one with `benchmark.record.load`, which refuses, in one line, a file that does not follow the format:

```python
from pathlib import Path
from benchmark.record import load

for record in map(load, Path("store/records").glob("*/*.json")):
    if record.scores is not None:
        print(record.methods.attack.name, record.methods.defense.name, record.scores.defended.asr.rate)
```

In other languages, [record.schema.json](record.schema.json) (JSON Schema, draft 2020-12) describes the same format.
`schema` is raised when a field is dropped, given another meaning, or added without a default for older records.
"""
PLAIN = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}


def main() -> None:
    """Write both files."""
    parser = Parser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=DOCS, help="of both files (default: docs)")
    folder: Path = parser.parse_args().folder
    schema = Record.model_json_schema(by_alias=True)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    sections = [section("Record", schema), *(section(name, schema["$defs"][name]) for name in parts(schema))]
    (folder / "records.md").write_text("\n".join([INTRODUCTION, *sections]))
    (folder / "record.schema.json").write_text(json.dumps(schema, indent=1) + "\n")


def parts(schema: dict[str, Any]) -> list[str]:
    """The models inside a record, each after the one that first names it."""
    found: list[str] = []
    waiting = [schema["properties"]]
    while waiting:
        named = re.findall(r"#/\$defs/(\w+)", json.dumps(waiting.pop(0)))
        fresh = [name for name in dict.fromkeys(named) if name not in found]
        found += fresh
        waiting += [schema["$defs"][name] for name in fresh]
    return found


def section(name: str, model: dict[str, Any]) -> str:
    """A model's heading and its table of fields."""
    rows = [f"| `{field}` | {kind(it)} | {it['description']} |" for field, it in model["properties"].items()]
    return "\n".join(
        [f"## {name}", "", model["description"], "", "| field | type | meaning |", "|---|---|---|", *rows, ""]
    )


def kind(it: dict[str, Any]) -> str:
    """A field's type in words; models are links."""
    if "$ref" in it:
        name = it["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in it:
        return " or ".join(kind(option) for option in it["anyOf"])
    if "const" in it or "enum" in it:
        return " or ".join(f"`{json.dumps(value)}`" for value in it.get("enum", [it.get("const")]))
    if "prefixItems" in it:
        return f"[{', '.join(kind(item) for item in it['prefixItems'])}]"
    if it["type"] == "array":
        return f"list of {kind(it['items'])}"
    if it["type"] == "object":
        values = it["additionalProperties"]
        return f"object of {kind(values)}" if isinstance(values, dict) else "object"
    return PLAIN[it["type"]]


if __name__ == "__main__":
    sys.exit(guarded(main))
