#!/usr/bin/env python3
"""The plugin greeter: begin here. smcp_plugin.py, beside this file, says at its top what there is."""

from typing import Annotated, Literal

from smcp_plugin import Failure, Option, Plugin, progress

GREETINGS = {"de": "Hallo", "en": "Hello", "fr": "Bonjour"}

plugin = Plugin(
    "greeter",
    version="0.1.0",
    description="Greets people.",
    # Who asks for nothing gets all that the operator grants to everybody; this one needs none of it.
    sandbox={"network": {"mode": "none"}, "filesystem": {"read": [], "write": []}},
)


@plugin.command(effect="read_only")
def greet(
    full_name: Annotated[str, "Whom"],
    language: Annotated[Literal["de", "en", "fr"], "In which language"] = "en",
    times: Annotated[int, Option("How often", minimum=1, maximum=10)] = 1,
) -> dict:
    "Say hello to somebody."
    if not full_name.strip():
        raise Failure("name_missing", "full_name is empty: say whom to greet", retryable=False)
    greetings = []
    for number in range(1, times + 1):
        greetings.append(f"{GREETINGS[language]}, {full_name}!")
        progress(number, times, f"greeting {number}")
    return {"greeting": " ".join(greetings)}


if __name__ == "__main__":
    plugin.main()
