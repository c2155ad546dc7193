"""How much of a text comes back from its vector, and of a blend from its point.

| module | its one subject |
|---|---|
| `sets` | labelled texts that nothing was trained on, and the points to decode |
| `overlap` | whether a corpus holds any of those texts after all |
| `decoding` | the decoders, and keeping what they write row by row |
| `retrieval` | the nearest corpus sentence: what one gets with no decoder at all |
| `scoring` | each text against its original, the judges and plain English |
| `summary` | means, ratios and their standard errors |
| `goals` | what was wanted, and whether it was met |
| `second` | a sentence encoder of another family, where one is installed |
| `bridges` | a command: the bridges to compare, trained for the same minutes |
| `curve` | a command: loss against training texts, and what ten times more would bring |
"""
