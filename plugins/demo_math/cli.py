#!/usr/bin/env python3
"""demo_math: arithmetic, byte counts and a coin, to try a server with.

The commands and their parameters are declared once, in CONTRACT, which serves `--describe`, `--help` and the reading of
the command line. argparse would take a value such as `-2+3` for an option, and costs 2 ms at each start.
"""

import ast
import json
import operator
import sys

READ_ONLY = {"annotations": {"readOnlyHint": True, "idempotentHint": True}, "effect": "read_only"}

CONTRACT = {
    "contract_version": "1.0",
    "plugin": {
        "name": "demo_math",
        "version": "1.0.0",
        "description": "Demonstration: arithmetic, byte counts and a coin.",
    },
    "commands": [
        {
            "name": "calculate",
            "description": "Calculate with two numbers (operation, a, b) or evaluate an arithmetic expression.",
            **READ_ONLY,
            "parameters": [
                {
                    "name": "operation",
                    "type": "string",
                    "description": "add, subtract, multiply or divide, or one of + - * /; needs a and b",
                },
                {"name": "a", "type": "number", "description": "First operand"},
                {"name": "b", "type": "number", "description": "Second operand"},
                {
                    "name": "expression",
                    "type": "string",
                    "description": "Instead of operation, a and b: numbers, + - * / // % ** and parentheses",
                },
            ],
        },
        {
            "name": "format_bytes",
            "description": "Write a number of bytes for people, in units of 1024.",
            **READ_ONLY,
            "parameters": [
                {"name": "value", "type": "number", "description": "Number of bytes, 0 or more", "required": True}
            ],
        },
        {"name": "coin_flip", "description": "Toss a coin: heads or tails.", **READ_ONLY, "parameters": []},
    ],
}

OPERATIONS = {"add": operator.add, "subtract": operator.sub, "multiply": operator.mul, "divide": operator.truediv}
SYMBOLS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}

# One expression must not keep a worker busy or fill its memory: 10,000 bits are 3,010 digits.
MAX_EXPRESSION_CHARACTERS = 200
MAX_EXPONENT = 1000
MAX_RESULT_BITS = 10_000


class Failure(Exception):
    """An answer with `ok` false; the code leads the message, so that it reaches callers who see only the message."""

    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")
        self.code = code


def calculate(operation=None, a=None, b=None, expression=None):
    pair = (operation, a, b)
    if expression is not None and pair == (None, None, None):
        return {"expression": expression, "result": evaluate(expression)}
    if expression is not None or None in pair:
        raise Failure("invalid_arguments", "give either --expression, or --operation with --a and --b")
    name = SYMBOLS.get(operation, operation.lower())
    if name not in OPERATIONS:
        raise Failure("invalid_operation", f"'{operation}' is none of add, subtract, multiply, divide, + - * /")
    if name == "divide" and b == 0:
        raise Failure("division_by_zero", f"{a} cannot be divided by zero")
    return {"operation": name, "a": a, "b": b, "result": bounded(OPERATIONS[name](a, b))}


def format_bytes(value):
    if value < 0:
        raise Failure("invalid_arguments", f"--value is {value}: a number of bytes is 0 or more")
    scaled, unit = value, "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB"):
        if round(scaled, 2) < 1024:
            break
        scaled, unit = scaled / 1024, larger
    human = f"{int(value)} B" if unit == "B" else f"{scaled:.2f} {unit}"
    return {"bytes": int(value), "human": human}


def coin_flip():
    import os

    return {"result": "heads" if os.urandom(1)[0] % 2 else "tails"}


COMMANDS = {"calculate": calculate, "format_bytes": format_bytes, "coin_flip": coin_flip}


def evaluate(expression):
    """The value of an arithmetic expression. No names and no calls: only the nodes listed here are ever computed."""
    binary = {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
        ast.Pow: power,
    }
    unary = {ast.UAdd: operator.pos, ast.USub: operator.neg}

    def value(node):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return bounded(node.value)
        if isinstance(node, ast.UnaryOp) and type(node.op) in unary:
            return unary[type(node.op)](value(node.operand))
        if isinstance(node, ast.BinOp) and type(node.op) in binary:
            return bounded(binary[type(node.op)](value(node.left), value(node.right)))
        raise Failure("invalid_expression", f"'{ast.unparse(node)}' is not arithmetic on numbers")

    if len(expression) > MAX_EXPRESSION_CHARACTERS:
        raise Failure("invalid_expression", f"longer than {MAX_EXPRESSION_CHARACTERS} characters")
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise Failure("invalid_expression", f"'{expression}' is not an arithmetic expression") from None
    try:
        return value(tree.body)
    except ZeroDivisionError:
        raise Failure("division_by_zero", f"'{expression}' divides by zero") from None
    except OverflowError:
        raise Failure("out_of_range", f"'{expression}' leaves the range of numbers") from None


def power(base, exponent):
    integers = isinstance(base, int) and isinstance(exponent, int)
    if abs(exponent) > MAX_EXPONENT or (integers and base.bit_length() * exponent > MAX_RESULT_BITS):
        raise Failure("out_of_range", f"the exponent {exponent} is too large")
    return base**exponent


def bounded(number):
    """The number itself, if JSON can carry it."""
    if isinstance(number, complex):
        raise Failure("out_of_range", "the result is not a real number")
    if isinstance(number, int) and number.bit_length() > MAX_RESULT_BITS:
        raise Failure("out_of_range", f"a number has more than {MAX_RESULT_BITS} bits")
    if isinstance(number, float) and not abs(number) < float("inf"):
        raise Failure("out_of_range", "the result leaves the range of numbers")
    return number


def main(words):
    if words == ["--describe"]:
        return show(CONTRACT)
    if words and ("--help" in words[:2] or "-h" in words[:2]):
        return print(help_text())
    try:
        command = named(words)
        answer = COMMANDS[command["name"]](**arguments(command["parameters"], words[1:]))
    except Failure as failure:
        show({"ok": False, "error": str(failure), "code": failure.code})
        sys.exit(1)
    show({"ok": True, **answer})


def named(words):
    for command in CONTRACT["commands"]:
        if words and command["name"] == words[0]:
            return command
    given = f"'{words[0]}' is not a command" if words else "no command is given"
    raise Failure("invalid_arguments", f"{given}; the commands are {', '.join(COMMANDS)}")


def arguments(parameters, words):
    """The values given as `--name value` or `--name=value`. A value may begin with a hyphen."""
    options = {"--" + parameter["name"].replace("_", "-"): parameter for parameter in parameters}
    values = {}
    words = iter(words)
    for word in words:
        option, joined, value = word.partition("=")
        if option not in options:
            raise Failure("invalid_arguments", f"unknown option '{option}'")
        if not joined and (value := next(words, None)) is None:
            raise Failure("invalid_arguments", f"{option} needs a value")
        parameter = options[option]
        values[parameter["name"]] = number(option, value) if parameter["type"] == "number" else value
    for option, parameter in options.items():
        if parameter.get("required") and parameter["name"] not in values:
            raise Failure("invalid_arguments", f"{option} is required")
    return values


def number(option, text):
    try:
        return bounded(float(text))
    except (ValueError, Failure):
        raise Failure("invalid_arguments", f"{option} is '{text}': a number is expected") from None


def help_text():
    plugin, commands = CONTRACT["plugin"], CONTRACT["commands"]
    lines = [f"usage: {plugin['name']} COMMAND [--OPTION VALUE ...]", "", plugin["description"], "", "Available commands:"]
    lines += [f"  {command['name']:<14}{command['description']}" for command in commands]
    for command in commands:
        if command["parameters"]:
            lines += ["", f"Options of {command['name']}:"]
        lines += [f"  --{option['name']:<12}{option['description']}" for option in command["parameters"]]
    return "\n".join(lines)


def show(answer):
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main(sys.argv[1:])
