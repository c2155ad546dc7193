"""xRAG's own checkpoints: the instructions they were trained with (arXiv 2405.13792)."""

from __future__ import annotations

from smotext_lab.errors import ParameterError, did_you_mean

__all__ = ["INSTRUCTIONS", "instruction_prompt"]

INSTRUCTIONS = {
    "means the same": "Background: {xrag} means the same as",
    "own terms": "Background: {xrag} Can you put the above sentences in your own terms?",
    "reinterpretation": "Background: {xrag} Please provide a reinterpretation of the preceding "
    "background text.",
    "equivalent": "These two expressions are equivalent in essence:\n(1) {xrag}\n(2)",
    "paraphrase of what": "Background: {xrag} is a paraphrase of what?",
    "different version": "Background: {xrag} Could you give me a different version of the "
    "background sentences above?",
    "another way": "In other words, background: {xrag} is just another way of saying:",
    "same point": "You're getting across the same point whether you say background: {xrag} or",
    "unpacked": "Background: {xrag} After uppacking the ideas in the background information "
    "above, we got:",
    "restatement": "Background: {xrag} Please offer a restatement of the background sentences "
    "I've just read.",
    "also means": "Background: {xrag}, which also means:",
    "another rendition": "Strip away the mystery, and you'll find background: {xrag} is simply "
    "another rendition of:",
    "essence": "The essence of background: {xrag} is captured again in the following statement:",
}
"""The thirteen instructions of paraphrase pretraining, to the letter (misspelling included), as a
checkpoint answers best to what it was trained with (xRAG, section 3.3 and appendix)."""


def instruction_prompt(name: str) -> str:
    """Return an instruction in Mistral's chat format, for `XRAGDecoder`'s `prompt`.

    Parameters
    ----------
    name : str
        One of `INSTRUCTIONS`.

    Raises
    ------
    ParameterError
        If there is no such instruction.

    Examples
    --------
    >>> instruction_prompt("also means")
    '[INST] Background: {xrag}, which also means: [/INST]'
    """
    if name not in INSTRUCTIONS:
        hint = did_you_mean(name, INSTRUCTIONS)
        msg = f"xRAG has no instruction {name!r}{hint}; there are: {', '.join(INSTRUCTIONS)}."
        raise ParameterError(msg)
    return f"[INST] {INSTRUCTIONS[name]} [/INST]"
