"""Command lines with places to fill in: each element stays one element, whatever it is filled with, and no shell reads any of it."""

import re

NAME = "[A-Za-z][A-Za-z0-9_-]*"
# {{name}} is {name} itself. Other braces, such as {} and {{.Names}}, are what they are.
PLACE = re.compile(rf"\{{\{{({NAME})\}}\}}|\{{({NAME})\}}")
# Programs to which an option of these letters hands a program as text.
INTERPRETERS = {
    **dict.fromkeys(["sh", "ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "mksh", "tcsh", "zsh", "python", "pypy"], "c"),
    **dict.fromkeys(["perl", "ruby"], "eE"),
    **dict.fromkeys(["node", "deno", "bun"], "ep"),
    "php": "r",
    "lua": "e",
}


class Element:
    """One element of a command line: texts and the names of parameters by turns."""

    def __init__(self, text):
        self.text = text
        self.parts, end = [], 0
        for place in PLACE.finditer(text):
            literal, name = place.groups()
            self.parts.append((None, text[end : place.start()]))
            self.parts.append((None, f"{{{literal}}}") if literal else (name, None))
            end = place.end()
        self.parts.append((None, text[end:]))
        self.parts = [part for part in self.parts if part != (None, "")]

    @property
    def names(self):
        return [name for name, _ in self.parts if name]

    @property
    def leader(self):
        """The parameter with whose value the element begins, if it does."""
        return self.parts[0][0] if self.parts else None

    @property
    def only(self):
        """The parameter of which the whole element is, if it is."""
        return self.parts[0][0] if len(self.parts) == 1 else None

    def filled(self, values):
        return "".join(values[name] if name else text for name, text in self.parts)


class Template:
    """A command line: groups of elements, each of which is left out where one of its parameters has no value."""

    def __init__(self, argv):
        self.groups = [[Element(text) for text in ([item] if isinstance(item, str) else item)] for item in argv]

    @property
    def elements(self):
        return [element for group in self.groups for element in group]

    @property
    def names(self):
        return {name for element in self.elements for name in element.names}

    def filled(self, values):
        """The command line with these texts for its parameters."""
        groups = [group for group in self.groups if all(name in values for element in group for name in element.names)]
        return [element.filled(values) for group in groups for element in group]

    def script(self, flags):
        """The text of an element that an interpreter would run as a program and that is not fixed, if there is one.

        `flags` has the texts of the parameters that are flags.
        """
        letters = None
        awaited = False
        for element in self.elements:
            text = flags.get(element.only, element.text) if element.only else element.text
            fixed = element.only in flags or not element.names
            if awaited and not text.startswith("-"):
                if not fixed:
                    return text
                # What follows are arguments of the program.
                letters, awaited = None, False
            elif letters and text.startswith("-"):
                given = re.fullmatch(rf"-[A-Za-z]*[{letters}](.*)", text, re.DOTALL)
                if not fixed and (given or awaited or element.text.startswith("-{")):
                    return text
                # perl -e'...' has it in the same element.
                awaited = awaited or bool(given and not given[1]) or text in ("--eval", "--print", "--command")
            else:
                letters = INTERPRETERS.get(program(text), letters)
        return None


def program(text):
    """What a program is called, without its directory and version."""
    return re.sub(r"[0-9.]+$", "", text.rsplit("/", 1)[-1])
