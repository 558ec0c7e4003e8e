"""Phrasings by which a chain betrays that it was shown the answer.

Collected from the ways models word it; what is told apart is in the tables of the tests. A chain may conclude "the
correct answer is X" and name "the given relations" (the list); it may not lean on an answer known before. Left out on
purpose: a chain that only behaves as if it knew, which no expression sees.
"""

from __future__ import annotations

import re

ANSWER = r"(?:answer|label|relation|relationship|annotation|solution)\b"
NOT_LIST = r"(?! (?:types?|labels?|list|set|names?|extraction|definitions?|options?|candidates?|music|company|deal)\b)"
SHOWN = (
    r"(?:given|provided|supplied|specified|pre-?specified|predetermined|assigned|annotated|expected|target|desired|"
    r"intended|required|designated|prescribed|known)"
)
RIGHT = r"(?:correct|right|true|actual|final|proper|known|gold|given)"
TOLD = (
    r"(?:says?|said|states?|stated|tells?|told|gives?|gave|specif(?:y|ies|ied)|reveals?|indicates?|mentions?|implies)"
)
TASK = r"(?:prompt|instructions?|user|system message|user message|task description)"
SOURCE = r"(?: (?:in|by|from|on|between) )"

LEAKS = re.compile(
    # one \b before them all: most places of a text begin no word and are passed at once
    r"\b(?:"
    + "|".join(
        (
            # an answer with a name that only an annotated one has
            rf"gold(?:en)?(?:[- ]standard)? (?:{RIGHT} )?(?:{ANSWER}|type\b|label)",
            r"(?:with|matche?s?|per|to|than|as|is) the gold(?:[- ]standard)?(?= ?[.,;:)]|$)",
            rf"ground[- ]?truth(?= ?[.,;:!?)]|$| (?:is|was|says|for|that|which|here|so|and|type\b|{ANSWER}))",
            rf"reference {ANSWER}",
            rf"(?<!\ba )(?<!\bno )(?<!\bany )(?<!\beach ){SHOWN} (?:{RIGHT} |relation )?{ANSWER}{NOT_LIST}",
            rf"(?<!\brecord )(?<!\bno )(?<!\beach ){ANSWER}(?: that| which)?"
            r"(?: is| was| has been| have been| i was| i am| we were| we are| i have been)?(?: already)?"
            rf" (?:given|provided|supplied|specified|known|shown|told)\b(?!{SOURCE}|,? as the title)",
            r"(?:answer|label) (?:key|sheet|in advance|beforehand)\b",
            # somebody gave it
            r"as (?:was |is |already )?(?:given|provided|told|instructed|supplied|directed)\b(?! \w)",
            rf"(?:as|was|is) (?:\w+ )?(?:in|by|from) the {TASK}\b",
            rf"(?:per|following|according to) the (?:{TASK}(?! of\b)|annotat\w+|answer|label|given {ANSWER}|gold)",
            rf"the (?:{TASK}|hint|question|annotators?|annotation) (?:already |also |clearly )?{TOLD}"
            rf"(?: \w+){{0,4}} {ANSWER}",
            r"(?:the annotat(?:ion|ors?)|the hint) (?:already |clearly )?"
            rf"(?:{TOLD}|given|chose|marks?|marked|labels?|labell?ed)\b",
            r"the (?:data ?set|corpus|data) (?:annotates?|labels?|marks?|lists?)\b",
            r"(?:labell?ed|annotated|marked) (?:as )?[\w/-]+ in the (?:data ?set|data|corpus|training data)\b",
            r"i (?:was|am|have been|'ve been|had been) (?:already )?(?:told|instructed|asked to)\b",
            rf"(?:i|we) (?:was|were|am|are|have been) (?:already )?(?:told|given|provided)(?: \w+){{0,3}} {ANSWER}",
            rf"(?:told|gave|given|shown) (?:me|us)(?: \w+){{0,3}} {ANSWER}",
            # a conclusion used as a reason
            rf"(?:given|since|because|as|knowing|assuming)(?: that)? (?:the|its|this) (?:{RIGHT} )?{ANSWER}"
            r" (?:is|was|must|should|has|are)\b(?! (?:not|never|only|stated|between|one|an?|directed|symmetric|"
            r"expressed|about|in|that|to hold)\b)",
            rf"(?:know|knew|known|knowing)(?: that)? the (?:{RIGHT} )?(?:answer|label|relation)\b",
            rf"the (?:{RIGHT} )?{ANSWER} (?:must|has to|should|ought to|needs to) be\b[^.;,]{{0,40}}[,;] ?"
            r"(?:so|therefore|thus|hence)\b",
            rf"(?:the|because|since) (?:{RIGHT} )?{ANSWER} (?:is|was) (?:supposed|meant|expected|said) to be\b",
            rf"because the (?:{RIGHT} )?{ANSWER} (?:must|should|has to) be\b",
            # looking up whether it came out right
            r"(?:match|agree|align|accord|coincid|fit|conform|confirm|support|justif|validat|explain|verif|consistent|"
            r"in line|compatible|corresponds?)\w*(?: with| to)? the (?:correct|right|true|actual)"
            r" (?:answer|label|relation)\b",
            r"(?:match|agree|align|coincid|consistent|in line)\w*(?: with)? the answer\b(?! to)",
            rf"justif(?:y|ies|ying) the (?:{RIGHT} )?(?:answer|label)\b",
            rf"(?:back|backwards?) from the (?:{RIGHT} )?{ANSWER}",
            # talk about hiding it
            rf"(?:not|never|without) (?:to )?(?:mention|reveal|say)(?:ing)? (?:that )?the (?:{SHOWN} )?{ANSWER}",
            r"(?:as if|as though|pretend\w*(?: that)?) (?:i|we) (?:did not|didn't|do not|don't) know\b",
        )
    )
    + ")"
)


# no expression above matches without one of these; most sentences have none and are passed at little cost
ANCHORS = (
    *("answer", "label", "relation", "annotat", "solution", "gold", "truth", "prompt", "instruct", "user", "message"),
    *("description", "hint", "corpus", "data", "told", "asked", "given", "provided", "supplied", "directed", "know"),
)


def leaks(words: str) -> bool:
    """Whether the words, in any case and with any blanks, betray a known answer."""
    sentences = " ".join(words.split()).lower().replace("’", "'").split(". ")
    return any(LEAKS.search(one) for one in sentences if any(anchor in one for anchor in ANCHORS))
