"""What may be filled in: parameters that admit a few values, or values of a pattern."""

import re

from template import NAME

from smcp_plugin import Failure

KEYS = ["description", "type", "enum", "pattern", "minimum", "maximum", "required", "default", "flag", "may_begin_with_hyphen"]
TYPES = {"string": str, "integer": int, "boolean": bool}
# Of each type what says which values it admits.
OF_TYPE = {"string": ["enum", "pattern"], "integer": ["enum", "minimum", "maximum"], "boolean": ["flag"]}
MAX_CHARACTERS = 4096


class Parameter:
    """One parameter of a command."""

    def __init__(self, name, table):
        table.only(KEYS)
        self.name, self.path = name, table.path
        self.kind = table.choice("type", list(TYPES)) or "string"
        self.description = table.text("description")
        self.enum = self.choices(table)
        self.pattern = self.expression(table)
        self.minimum, self.maximum = (table.value(key, int, "a whole number") for key in ("minimum", "maximum"))
        negative = self.minimum is not None and self.minimum < 0
        self.hyphen = table.value("may_begin_with_hyphen", bool, "true or false") or negative
        self.flag = table.text("flag") if self.kind == "boolean" else None
        self.default = table.get("default")
        required = table.value("required", bool, "true or false")
        optional = self.kind == "boolean" or self.default is not None
        self.required = not optional if required is None else required and self.default is None
        self.check(table)

    def choices(self, table):
        values = table.value("enum", list, "a list")
        kind = TYPES[self.kind]
        if values is not None and (not values or not all(type(value) is kind for value in values)):
            table.wrong("enum", f"must be a list of values of the type {self.kind}")
            return None
        return values

    def expression(self, table):
        pattern = table.text("pattern")
        if pattern is None:
            return None
        if not (pattern.startswith("^") and pattern.endswith("$")):
            table.wrong("pattern", "must begin with ^ and end with $, so that it speaks of the whole value")
            return None
        try:
            return re.compile(pattern)
        except re.error as error:
            table.wrong("pattern", f"is no regular expression: {error}")
            return None

    def check(self, table):
        if not re.fullmatch(NAME, self.name) or self.name == "help":
            table.problems.append(f"{self.path}: a parameter's name is letters, digits, - and _, begins with a letter, and is not help")
        for key in ("enum", "pattern", "minimum", "maximum", "flag"):
            if table.get(key) is not None and key not in OF_TYPE[self.kind]:
                table.wrong(key, f"is not for the type {self.kind}")
        if self.kind == "string" and table.get("enum") is None and table.get("pattern") is None:
            table.problems.append(f"{self.path} needs an enum or a pattern: a text that may be anything is passed to no program")
        if self.kind == "boolean" and table.get("flag") is None:
            table.wrong("flag", 'is missing: it is the element of argv that stands for true, such as "--force"')
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            table.wrong("minimum", "is more than the maximum")
        if self.default is not None and not table.problems:
            try:
                self.text(self.default, leads=True)
            except Failure as failure:
                table.wrong("default", f"cannot be used: {failure}")

    def describe(self):
        """The parameter as the contract describes it."""
        pattern = self.pattern.pattern if self.pattern else None
        described = {
            "name": self.name,
            "type": self.kind,
            "description": self.description,
            "required": self.required,
            "default": self.default,
            "enum": self.enum,
            "pattern": pattern,
            "minimum": self.minimum,
            "maximum": self.maximum,
        }
        return {key: value for key, value in described.items() if value is not None}

    def text(self, value, leads):
        """What stands for a value in the command line, `None` for a flag that is not set. `leads` says that an element begins
        with it.

        The server has checked the value as well, but by the file as it was then.
        """
        if type(value) is not TYPES[self.kind]:
            raise self.refusal(value, f"is not of the type {self.kind}")
        if self.kind == "boolean":
            return self.flag if value else None
        if self.enum is not None:
            if value not in self.enum:
                raise self.refusal(value, f"is none of {', '.join(map(str, self.enum))}")
        elif self.pattern is not None and not self.pattern.fullmatch(value):
            raise self.refusal(value, f"does not match {self.pattern.pattern}")
        if self.minimum is not None and value < self.minimum:
            raise self.refusal(value, f"is less than {self.minimum}")
        if self.maximum is not None and value > self.maximum:
            raise self.refusal(value, f"is more than {self.maximum}")
        text = str(value)
        if "\0" in text or len(text) > MAX_CHARACTERS:
            raise self.refusal(text, f"has a NUL, or more than {MAX_CHARACTERS} characters")
        # What an operator has listed is meant; anything else could be an option.
        if leads and text.startswith("-") and self.enum is None and not self.hyphen:
            raise self.refusal(value, "begins with a hyphen, so that the program could take it for an option")
        return text

    def refusal(self, value, why):
        shown = repr(value)[:80]
        return Failure("invalid_arguments", f"{self.name} is {shown}, which {why}", retryable=False)
