"""Phrasings by which a chain betrays that it was shown the answer.

Collected from the ways models word it; what is told apart is in the tables of the tests. A chain may conclude "the
correct answer is X", name "the given relations" (the list) and reason on from "since the relation is X"; it may not
lean on an answer known before. Left out on purpose: a chain that only behaves as if it knew, which no expression sees.
"""

from __future__ import annotations

import re
from functools import lru_cache

from morerl.task import TaskSpec

ANSWER = r"(?:answer|label|relation|relationship|annotation|solution)\b"
NOT_RELATION = r"(?:answer|label|annotation|solution)\b"
NOT_LIST = r"(?! (?:types?|labels?|list|set|names?|extraction|definitions?|options?|candidates?|music|company|deal)\b)"
NOT_ONE_OF = r"(?! be (?:one|among|in|taken|from)\b)"
SHOWN = (
    r"(?:given|provided|supplied|specified|pre-?specified|predetermined|assigned|annotated|expected|target|desired|"
    r"intended|required|designated|prescribed|known)"
)
HANDED = r"(?:given|provided|supplied|known)"
RIGHT = r"(?:correct|right|true|actual|final|proper|known|gold|given)"
TOLD = (
    r"(?:says?|said|states?|stated|tells?|told|gives?|gave|specif(?:y|ies|ied)|reveals?|indicates?|mentions?|implies)"
)
TASK = r"(?:prompt|instructions?|user|system message|user message|task description)"
SOURCE = r"(?: (?:in|by|from|on|between|through|only) )"
TYPES = r"(?:types? of (?:the |both )?\w+(?: and (?:the )?\w+)?|(?:(?:head|tail|object|entity)(?:'s)? |the )types?)"
UNKNOWING = r"(?:did not|didn't|do not|don't) know\b"
DERIVE = r"(?:derive|justify|reach|arrive at|end at|confirm)\b"
# what a step about candidates may well say: given the types per and misc, only these relations are open
OPEN = r"(?![^.]{0,80}\b(?:relations?|labels?|candidates?|options?|open|join|possible|allowed|only|list)\b)"

LEAKS = re.compile(
    # one \b before them all: most places of a text begin no word and are passed at once
    r"\b(?:"
    + "|".join(
        (
            # an answer with a name that only an annotated one has
            rf"gold(?:en)?(?:[- ]standard)? (?:{RIGHT} )?(?:{ANSWER}|type\b|label)",
            r"(?:with|matche?s?|per|to|than|as|is) the gold(?:[- ]standard)?(?= ?[.,;:)]|$)",
            r"the gold is (?!(?:hers|his|theirs|mine|lost|real|stolen|here|there|old|pure)\b)[\w/'-]+(?= ?[.,;:)]|$)",
            rf"ground[- ]?truth(?= ?[.,;:!?)]|$| (?:is|was|says|for|that|which|here|so|and|type\b|{ANSWER}))",
            rf"reference {ANSWER}",
            rf"(?<!\ba )(?<!\bno )(?<!\bany )(?<!\beach )(?:{HANDED}|{SHOWN}(?! (?:solution|relation\w* of)\b))"
            # the known relation between smoking and cancer is one of the text's
            rf" (?:{RIGHT} |relation )?(?!relation between (?!them|the two|these|head|him|her)){ANSWER}{NOT_LIST}",
            r"the (?:stated|official) (?:label|answer|annotation|relation(?= between (?:them|the two)| is\b))",
            rf"(?<!\brecord )(?<!\bno )(?<!\beach ){ANSWER}(?: that| which)?"
            r"(?: is| was| has been| have been| i was| i am| we were| we are| i have been)?(?: already)?"
            rf" (?:given|provided|supplied|specified|known|shown|told)\b(?!{SOURCE}|,? as the title)",
            r"(?:answer|label) (?:key|sheet|in advance|beforehand)\b",
            rf"{TYPES} (?:is|are|was|were) (?:already |said |stated )?(?:given|provided|specified|supplied|known|to be)"
            rf"\b(?!{SOURCE})",
            rf"given the types (?!of\b|as\b|that\b|in\b)[\w'/]+{OPEN}",
            # somebody gave it
            r"as (?:was |is |already )?(?:given|provided|told|instructed|supplied|directed)\b(?! \w)",
            rf"(?:as|was|is) (?:\w+ )?(?:in|by|from) the {TASK}\b",
            rf"(?:per|following|according to) the (?:{TASK}(?! of\b)|annotat\w+|answer|label|given {ANSWER}|gold)",
            rf"the (?:{TASK}|hint|question|annotators?|annotation) (?:already |also |clearly )?{TOLD}"
            rf"(?: \w+){{0,4}} {ANSWER}",
            r"(?:the annotat(?:ion|ors?)|the hint) (?:already |clearly )?"
            rf"(?:{TOLD}|given|chose|marks?|marked|labels?|labell?ed)\b",
            r"the (?:data ?set|corpus) (?:annotates?|labels?|marks?|lists?)\b",
            r"the data (?:annotates?|labels?|marks?)\b",
            r"(?:labell?ed|annotated|marked) (?:as )?[\w/-]+ in the (?:data ?set|data|corpus|training data)\b",
            r"i (?:was|am|have been|'ve been|had been) (?:already )?(?:told|instructed|asked to)\b",
            rf"(?:i|we) (?:was|were|am|are|have been) (?:already )?(?:told|given|provided)(?: \w+){{0,3}} {ANSWER}",
            rf"(?:told|gave|given|shown) (?:me|us)(?: \w+){{0,3}} {ANSWER}",
            rf"(?:i|we) (?:was|were|am|are|have been) (?:asked|told|meant|supposed) to {DERIVE}",
            r"(?:i|we) (?:have to|need to|had to|must) (?:arrive|end) at\b",
            # a conclusion used as a reason; that of a relation may well be one, in the step about its direction
            rf"(?:given|since|because|as|knowing|assuming)(?: that)? (?:the|its|this) (?:{RIGHT} )?"
            rf"(?:{NOT_RELATION} (?:is|was|must|should|has|are)|{ANSWER} (?:must|should|has to))\b"
            r"(?! (?:not|never|only|stated|between|one|an?|directed|symmetric|expressed|about|in|that|to hold)\b)"
            rf"{NOT_ONE_OF}",
            rf"(?:know|knew|known|knowing)(?: that)? the (?:{RIGHT} )?(?:answer|label|relation)\b(?! between| of)",
            rf"the (?:{RIGHT} )?{ANSWER} (?:must|has to|should|ought to|needs to){NOT_ONE_OF} be\b[^.;,]{{0,40}}[,;] ?"
            r"(?:so|therefore|thus|hence)\b",
            rf"(?:the|because|since) (?:{RIGHT} )?{ANSWER} (?:is|was) (?:supposed|meant|expected|said) to be\b",
            rf"because the (?:{RIGHT} )?{ANSWER} (?:must|should|has to){NOT_ONE_OF} be\b",
            # looking up whether it came out right
            r"(?:match|agree|align|accord|coincid|fit|conform|confirm|support|justif|validat|explain|verif|consistent|"
            r"in line|compatible|corresponds?)\w*(?: with| to)? the (?:correct|right|true|actual)"
            r" (?:answer|label|relation)\b",
            r"(?:match|agree|align|coincid|consistent|in line)\w*(?: with)? the answer\b(?! to)",
            rf"justif(?:y|ies|ying) the (?:{RIGHT} )?(?:answer|label)\b",
            rf"(?:back|backwards?) from the (?:{RIGHT} )?{ANSWER}",
            r"working backwards?\b",
            # talk about hiding it
            rf"(?:not|never|without) (?:to )?(?:mention|reveal|say)(?:ing)? (?:that )?the (?:{SHOWN} )?{ANSWER}",
            r"(?:not|never|without) (?:to )?mention(?:ing)? that it was (?:given|known|told|shown)\b",
            r"nor hint at it\b",
            r"without letting (?:on|it show)\b",
            rf"(?:as if|as though|pretend\w*(?: that)?) (?:i|we|you|one) {UNKNOWING}",
        )
    )
    + ")"
)


# no expression above matches without one of these; most sentences have none and are passed at little cost
ANCHORS = (
    *("answer", "label", "relation", "annotat", "solution", "gold", "truth", "prompt", "instruct", "user", "message"),
    *("description", "hint", "corpus", "data", "told", "asked", "given", "provided", "supplied", "directed", "know"),
    *("type", "backward", "letting", "arrive", "end at", "meant", "supposed"),
)


def leaks(words: str, spec: TaskSpec) -> bool:
    """Whether the words, in any case and with any blanks, betray a known answer of the guideline."""
    named = _named(tuple(spec.answers), tuple(label.name for label in spec.labels), tuple(spec.types))
    sentences = " ".join(words.split()).lower().replace("’", "'").split(". ")
    return any(
        LEAKS.search(one) or ("known to be" in one and named.search(one))
        for one in sentences
        if any(anchor in one for anchor in ANCHORS)
    )


@lru_cache(maxsize=16)
def _named(*groups: tuple[str, ...]) -> re.Pattern[str]:
    """What is "known to be" a type or label by its name; not a plain word, as which a name may stand in a sentence."""
    answers, labels, types = groups
    last = {name.rpartition("/")[2] for name in labels}
    told = {*types} | {name for name in {*answers, *labels, *last} if not name.isalpha()}
    names = "|".join(re.escape(name.lower()) for name in sorted(told, key=len, reverse=True))
    return re.compile(rf"\bknown to be ['\"“‘]?(?:{names or '(?!)'})(?!\w| than\b)")
