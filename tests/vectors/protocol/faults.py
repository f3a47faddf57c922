"""The negative vectors: one fault each, and the class of error that refuses it."""

from __future__ import annotations

from typing import Any

GOOD_DIGEST, GOOD_ADDRESS = "0x" + "ab" * 32, "0x" + "cd" * 20
RECEIPT = {"deal": GOOD_DIGEST, "datasetVersion": GOOD_DIGEST, "enclave": GOOD_ADDRESS}
SETTLEMENT = {"deal": GOOD_DIGEST, "outcome": "2", "code": "0", "leftOut": "0", "resultDigest": GOOD_DIGEST}

# A document that isn't the JSON form of its typed struct.
TYPED_JSON: list[tuple[str, str, Any]] = [
    ("not an object", "KeyReceipt", []),
    ("missing field", "KeyReceipt", {key: value for key, value in RECEIPT.items() if key != "enclave"}),
    ("unknown field", "KeyReceipt", {**RECEIPT, "note": ""}),
    ("digest in capitals", "KeyReceipt", {**RECEIPT, "deal": "0x" + "AB" * 32}),
    ("digest without 0x", "KeyReceipt", {**RECEIPT, "deal": "ab" * 32}),
    ("digest too short", "KeyReceipt", {**RECEIPT, "deal": "0x" + "ab" * 31}),
    ("digest and a newline", "KeyReceipt", {**RECEIPT, "deal": GOOD_DIGEST + "\n"}),
    ("address in checksum case", "KeyReceipt", {**RECEIPT, "enclave": "0x52908400098527886E0F7030069857D2E4169EE7"}),
    ("address is a number", "KeyReceipt", {**RECEIPT, "enclave": 0}),
    ("number instead of decimal text", "Settlement", {**SETTLEMENT, "code": 0}),
    ("leading zero", "Settlement", {**SETTLEMENT, "code": "00"}),
    ("negative", "Settlement", {**SETTLEMENT, "code": "-1"}),
    ("empty number", "Settlement", {**SETTLEMENT, "code": ""}),
    ("hexadecimal number", "Settlement", {**SETTLEMENT, "code": "0x1"}),
    ("number and a blank", "Settlement", {**SETTLEMENT, "code": "1 "}),
    ("digits that are not ASCII", "Settlement", {**SETTLEMENT, "code": "\u0661"}),
    ("2 to the power of 256", "Settlement", {**SETTLEMENT, "leftOut": str(2**256)}),
    ("5000 digits", "Settlement", {**SETTLEMENT, "leftOut": "1" * 5000}),
    ("list of structs is an object", "Request", {"grants": {}}),
]

# A settlement of the right form that no contract would accept, for a deal of two grants.
SETTLEMENT_CHECKS: list[tuple[str, dict[str, str]]] = [
    ("outcome open", {"outcome": "1"}),
    ("outcome reclaimed", {"outcome": "5"}),
    ("delivered with a code", {"outcome": "2", "code": "1"}),
    ("withheld without a code", {"outcome": "3", "code": "0"}),
    ("failed without a code", {"outcome": "4", "code": "0"}),
    ("code over 255", {"outcome": "4", "code": "256"}),
    ("leaves out a third grant of two", {"leftOut": "4"}),
]

# Bytes that are no canonical document. `repeat` is head, unit, count, tail.
CANONICAL: list[tuple[str, str, dict[str, Any]]] = [
    ("white space", "json", {"text": '{"a": 1}'}),
    ("newline at the end", "json", {"text": '{"a":1}\n'}),
    ("keys out of order", "json", {"text": '{"b":1,"a":1}'}),
    ("duplicate key, same value", "json", {"text": '{"a":1,"a":1}'}),
    ("duplicate key, other value", "json", {"text": '{"a":1,"a":2}'}),
    ("fraction of zero", "json", {"text": '{"a":1.0}'}),
    ("minus zero", "json", {"text": '{"a":-0}'}),
    ("exponent spelt otherwise", "json", {"text": '{"a":1e2}'}),
    ("escape that is not needed", "json", {"text": '{"a":"\\u0041"}'}),
    ("slash escaped", "json", {"text": '{"a":"\\/"}'}),
    ("integer beyond 2 to the power of 53", "json", {"text": '{"a":9007199254740993}'}),
    ("number out of range", "json", {"text": '{"a":1e400}'}),
    ("not a number", "json", {"text": '{"a":NaN}'}),
    ("byte order mark", "json", {"hex": "efbbbf7b7d"}),
    ("not UTF-8", "json", {"hex": "7b2261223a22ff227d"}),
    ("lone surrogate", "json", {"text": '{"a":"\\ud800"}'}),
    ("truncated", "json", {"text": '{"a":1'}),
    ("two documents", "json", {"text": "{}{}"}),
    ("empty", "json", {"text": ""}),
    ("nested too deeply", "json", {"repeat": ['{"a":', '{"a":', 99_999, "1"]}),
    ("nested 65 levels deep", "json", {"text": '{"a":' * 64 + "{}" + "}" * 64}),
    ("over 4 MiB", "json", {"repeat": ['{"a":"', "x", 4_194_304, '"}']}),
    ("unknown field", "grant-policy", {"edit": ['"format"', '"extra":0,"format"']}),
    ("missing field", "grant-policy", {"edit": ['"hospital":"hospital-1",', ""]}),
    ("another format", "grant-policy", {"edit": ["grant-policy/1", "grant-policy/2"]}),
    ("wrong type", "grant-policy", {"edit": ['"permit":null', '"permit":7']}),
    ("default left out", "grant-policy", {"edit": ['"permit":null,', ""]}),
    ("purpose not in the list", "grant-policy", {"edit": ['"statistics"', '"marketing"']}),
    ("no columns", "grant-policy", {"edit": ['["age","cp","num","sex"]', "[]"]}),
    ("column name and a newline", "grant-policy", {"edit": ['"age"', '"age\\n"']}),
]

# Frames as bytes; lengths first.
FRAMES: list[tuple[str, str]] = [
    ("header over 16 MiB", "01000001" + "00000000"),
    ("body over 1 GiB", "00000002" + "40000001" + b"{}".hex()),
    ("header empty", "00000000" + "00000000"),
    ("header not JSON", "00000002" + "00000000" + b"{]".hex()),
    ("header a list", "00000002" + "00000000" + b"[]".hex()),
    ("header null", "00000004" + "00000000" + b"null".hex()),
    ("header and more", "00000003" + "00000000" + b"{}}".hex()),
    ("header in UTF-16", "0000000e" + "00000000" + '{"a":1}'.encode("utf-16-le").hex()),
    ("header with a byte order mark", "00000005" + "00000000" + "efbbbf" + b"{}".hex()),
    ("header not UTF-8", "00000009" + "00000000" + "7b2261223a22ff227d"),
    ("header nested 65 levels deep", "00000182" + "00000000" + ('{"a":' * 64 + "{}" + "}" * 64).encode().hex()),
    ("header with NaN", "00000009" + "00000000" + b'{"a":NaN}'.hex()),
]

# Edits of the plan of the story, as (old text, new text); all are InputError.
PLANS: list[tuple[str, str, str]] = [
    ("not TOML", "[outcome]", "[outcome"),
    ("unknown field", 'purpose = "', 'colour = "red"\npurpose = "'),
    ("unknown purpose", "health-research", "marketing"),
    ("no title", 'title = "Which factors weigh in coronary heart disease?"\n', ""),
    ("empty title", "Which factors weigh in coronary heart disease?", ""),
    ("title over 200 characters", "Which factors weigh", "x" * 200),
    ("no outcome condition", "above = 0\n", ""),
    ("two outcome conditions", "above = 0", 'above = 0\nequals = "1"'),
    ("outcome above not a number", "above = 0", "above = nan"),
    ("outcome above infinity", "above = 0", "above = inf"),
    ("outcome above 2 to the power of 53", "above = 0", "above = 9007199254740992.0"),
    ("outcome above text", "above = 0", 'above = "0"'),
    ("equals a number", 'equals = "4"', "equals = 4"),
    ("two factors of one name", 'name = "cp4"', 'name = "age"'),
    ("factor without a column", 'column = "cp"\n', ""),
    ("factor name with a blank", 'name = "cp4"', 'name = "cp 4"'),
    ("factor name with a newline", 'name = "cp4"', 'name = "cp4\\n"'),
    ("factor name of 64 characters", 'name = "cp4"', f'name = "{"c" * 64}"'),
    ("column name that starts with a digit", 'column = "cp"', 'column = "4cp"'),
    ("outcome column is a factor", 'column = "cp"', 'column = "num"'),
    ("other model", "[outcome]", '[analysis]\nmodel = "cox"\n\n[outcome]'),
    ("another format", 'purpose = "', 'format = "heartify.plan/1"\npurpose = "'),
]

# Edits of the exported audit log of the story, by line (the header is line 1), and the entry that is named.
AUDIT_LOG: list[tuple[str, dict[str, Any], int]] = [
    ("a time is another", {"line": 5, "edit": ["1800000180", "1800000181"]}, 4),
    ("a detail is another", {"line": 5, "edit": ['"simulated":"yes"', '"simulated":"no"']}, 4),
    ("an event is another", {"line": 7, "edit": ["resumed", "created"]}, 6),
    ("the digest before is another", {"line": 4, "flip": '"previous":"0x'}, 3),
    ("a blank is put in", {"line": 3, "edit": ['"details":', '"details": ']}, 2),
    ("a detail that no entry has", {"line": 7, "edit": ['"details":{}', '"details":{"patient":"K5007"}']}, 6),
    ("an entry is missing", {"drop": 4}, 3),
    ("the first entry is missing", {"drop": 2}, 2),
    ("the last entry is missing", {"drop": 7}, 5),
    ("two entries are exchanged", {"swap": [4, 5]}, 3),
    ("an entry stands twice", {"double": 4}, 4),
    ("the header's head is another", {"line": 1, "flip": '"head":"0x'}, 6),
]
