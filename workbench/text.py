"""Text from elsewhere in a line of ours."""


def one_line(text: str) -> str:
    """A name, a reason, an engine's error as one line that looks like what it is: whatever is not printed (line breaks,
    terminal escapes, marks that turn the direction of writing, halves of a character) is shown by its number."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
