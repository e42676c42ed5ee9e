"""Documents against the JSON Schemas of docs/, with the words that those use."""

import json
import os
import re

DOCS = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "docs")


def faults(document, name):
    """What of docs/NAME.schema.json the document breaks, a line each."""
    with open(os.path.join(DOCS, f"{name}.schema.json"), encoding="utf-8") as f:
        root = json.load(f)
    return fits(document, root, root)


def fits(value, schema, root, where="$"):
    """What of a JSON Schema the value breaks; the words that docs/check.schema.json uses."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    if "oneOf" in schema:
        wrong = [fits(value, s, root, where) for s in schema["oneOf"]]
        return [] if sum(not w for w in wrong) == 1 else min(wrong, key=len)
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float), "null": type(None)}
    kind = schema.get("type")
    if kind and not any(isinstance(value, kinds[k]) and not (k in ("integer", "number") and isinstance(value, bool))
                        for k in ([kind] if isinstance(kind, str) else kind)):
        return [f"{where}: {value!r} is no {kind}"]
    wrong = []
    if "enum" in schema and value not in schema["enum"] or "const" in schema and value != schema["const"]:
        wrong.append(f"{where}: {value!r}")
    if isinstance(value, str) and (not re.search(schema.get("pattern", ""), value) or len(value) < schema.get("minLength", 0)):
        wrong.append(f"{where}: {value!r}")
    if isinstance(value, (int, float)) and value < schema.get("minimum", value):
        wrong.append(f"{where}: {value} is too small")
    if isinstance(value, list):
        wrong += [f"{where}: too short"] if len(value) < schema.get("minItems", 0) else []
        wrong += [w for i, v in enumerate(value) for w in fits(v, schema.get("items", {}), root, f"{where}[{i}]")]
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        wrong += [f"{where}: {k} is missing" for k in schema.get("required", []) if k not in value]
        wrong += [f"{where}: {k} is unknown" for k in value if schema.get("additionalProperties") is False and k not in properties]
        wrong += [w for k, v in value.items() if k in properties for w in fits(v, properties[k], root, f"{where}.{k}")]
    return wrong
