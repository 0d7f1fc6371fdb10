"""Language: the lexicon of real names, invented species, prompts, and captions with measured attributes.

The tables beside the modules are edited by hand, without code: `names.csv` (real fungi), `words.csv` (words of their
names by part), `stopwords.csv`, `form_nouns.csv` (what a fungus of each form is called), `stems.csv` (Greek and Latin),
`templates.csv` (sentences of prompts) and `controls.csv`. `real_genera.csv` is written by `benchmarks/names.py`.
"""
