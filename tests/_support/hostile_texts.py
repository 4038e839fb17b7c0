"""Texts that mean something to whoever is careless: to a database, a page, a log, a spreadsheet."""

from __future__ import annotations

TEXTS = {
    "SQL": "'; DROP TABLE logs; -- #\" OR 1=1 /* `) UNION SELECT id FROM api_keys \\'",
    "HTML": "<script>alert(#)</script><img src=x onerror=alert(1)>&amp;</textarea>{{7*7}}${7*7}",
    "lines": "#\r\nX-Forged: 1\r\n\r\n\u2028two\u2029three\x0bfour\x0cfive\x85six\n",
    "terminal": "\x1b[2J\x1b]0;#\x07\x1b[31m\x08\x7f\x9b31m",
    "direction": "\u202e#gpj.exe\u2066\u200f\ufeff\u200b\U0001f469\u200d\U0001f680e\u0301",
    "path": "../../../../etc/passwd#%2e%2e%2f..\\..\\C:\\ file:///etc/passwd",
    "format": "%s%n%(x)s{#}{0.__class__}{}%%$HOME`id`$(id)%d",
    "pattern": "%_\\%#[a-z]*?.^$|%%__",
    "JSON path": "$.a[0].\"#\"->'$[*]'#>>'{a}'\\u0000{\"a\":1}",
    "formula": "=cmd|' /C calc'!A#",
    "spaces": " \t#\xa0 ",
    "U+0000": "a\0b#",
    "surrogate": "a\ud800b#",
}
"""By what they try. `#` stands for a number that tells one request's from another's."""

REFUSED = ("U+0000", "surrogate")
"""Those that not every place can keep: PostgreSQL has no U+0000, and no text has the other."""

FRAGMENTS = (
    "%",
    "_",
    "\\",
    "'",
    '"',
    "%_",
    "\\%",
    "*",
    "?",
    "[a-z]",
    ".*",
    "\r\n",
    "\u2028",
    "$.a",
    "=",
)
"""Parts of them that mean something by themselves."""

LONGEST = 255
"""Characters of a name."""

KEPT = tuple(name for name in TEXTS if name not in REFUSED)


def numbered(text: str, number: int) -> str:
    """Return a text that no other request sends."""
    return text.replace("#", f"#{number}#")


def packed(number: int) -> list[str]:
    """Return all that can be kept, in few texts, none longer than a name may be."""
    packs = [""]
    for name in KEPT:
        text = numbered(TEXTS[name], number)
        if len(packs[-1]) + len(text) > LONGEST:
            packs.append("")
        packs[-1] += text
    return packs
