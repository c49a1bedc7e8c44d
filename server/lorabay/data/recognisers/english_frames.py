"""Sentences that a person fits into, as what stands before and after a name in Latin letters.

Each cue has a gain; a place is a person's if the gains before and after it add up to ENOUGH. Knows
nothing of names themselves.
"""

from __future__ import annotations

import re

ENOUGH = 3
"""What has to be said of words for them to be a name, whatever they are."""

_SOFT_LABELS = (
    r"user(?:name)?|client|guest|customer|tenant|approver|owner|staff|request[eo]r|signature|"
    r"travell?er|"
    r"passenger|member|employee|subscriber|visitor|candidate|resident|occupant|caller|sender|buyer|"
    r"seller|host|instructor|tutor|consultant|claimant|trustee|executor|director|secretary|"
    r"treasurer|"
    r"account manager|case ?worker|case manager|handler|point of contact|poc|f\.?a\.?o\.?|"
    r"assignee|author|"
    r"editor|organi[sz]er|coordinator|interviewer|interviewee|speaker|lead|team lead|line manager|"
    r"physician|surgeon|dentist|attending|investigator|adjuster|inspector|contractor|"
    r"supplier contact|"
    r"contact|co-?applicant|co-?owner|dependant|dependent|spouse|parent|guardian|child|pupil|"
    r"(?:prepared|uploaded|logged|edited|updated|closed|resolved|taken|verified|checked|"
    r"inspected|filed|"
    r"entered|sold|ordered|booked|completed|serviced|cleaned|packed|shipped) (?:for|by)|"
    r"(?:deliver(?:ed)?|sold|ship(?:ped)?|bill(?:ed)?|made out|payable|addressed|mail(?:ed)?|"
    r"issued|"
    r"released|handed|leased|rented|licen[sc]ed) to"
)
_KIN = (
    r"(?:grand|step|god)(?:son|daughter|mother|father|child|ma|pa)|son|daughter|mother|father|mum|mom|"
    r"dad|brother|sister|husband|wife|fianc[ée]e?|cousin|nephew|niece|uncle|aunt(?:ie)?|"
    r"(?:brother|sister|mother|father|son|daughter)-in-law|ex-(?:husband|wife|partner)|girlfriend|"
    r"boyfriend|neighbou?r|roommate|flatmate|housemate|classmate|colleague|nanny|babysitter|"
    r"cleaner|carer|au pair|(?:dog|cat) (?:walker|sitter)"
)
"""What somebody is to somebody; no brand is one."""

_THINGS = (
    r"phone|mobile|laptop|computer|tablet|screen|printer|access|account|badge|password|login|"
    r"profile|desk|"
    r"number|extension|email|e-mail|inbox|mailbox|calendar|order|invoice|card|contract|salary|"
    r"payslip|"
    r"shift|voicemail|birthday|passport|visa|ticket|policy|claim|prescription|appointment|wife|"
    r"husband|"
    r"mother|father|mum|mom|dad|son|daughter|sister|brother|boss|manager|team|signature|address|"
    r"car|"
    r"house|flat|parents|kids|file|record|permissions|licen[cs]e|subscription|membership|refund|"
    r"deposit|idea|fault|turn|decision|mistake|suggestion|job|place|replacement|note|handwriting|"
    r"departure|leave|lease|laptop"
)
_UNITS = (
    r"billing|sales|finance|payroll|hr|it|accounts?|accounting|reception|security|claims|returns|"
    r"legal|"
    r"support|marketing|shipping|dispatch|logistics|procurement|purchasing|customer \w+|tech \w+|"
    r"technical \w+|tier \d|compliance|engineering|operations|the (?:\w+ )?(?:team|branch|office|"
    r"desk|"
    r"store|shop|department|warehouse|clinic|counter|bank)|your (?:\w+ )?(?:team|branch|office|"
    r"desk|store|"
    r"shop|department|warehouse|clinic|company|firm|side|end)"
)

LEFT: tuple[tuple[re.Pattern[str], int], ...] = (
    (
        re.compile(
            rf"(?<![a-z])(?:{_SOFT_LABELS})(?: name)?\s*[:=-]+\s*$|"
            r"(?<![a-z])(?:let|according to|goes by|known as|(?:his|her|their|my) name as|"
            r"(?:name|signed|listed|recorded|entered|down|registered) as|called me|named)\s$|"
            rf"(?<![a-z])(?:{_KIN}),?\s$|"
            r"(?<![a-z])(?:kids|children|sons|daughters|twins|boys|girls|cats|dogs)[,:]\s$|"
            r"(?<![a-z])(?:someone|somebody|a (?:guy|man|lady|woman|person|girl|boy)|(?:it|"
            r"this) was) "
            r"(?:called|named)\s$",
            re.IGNORECASE,
        ),
        3,
    ),
    (
        re.compile(
            r"(?<![a-z])(?:dealt|dealing|spoke|speak|speaking|live|living|chatted|chatting|"
            r"talked|talk|met|"
            r"meeting|appointment|interview|session|lunch|call|check|checked|in touch|works?|"
            r"worked|"
            r"stay(?:ing|ed)?|agreed|arranged|share) with\s$|"
            r"(?<![a-z])(?:keys?|gave (?:it|them)|hand(?:ed)?(?: it)?|forward(?:ed)?(?: (?:it|"
            r"this|them))?|"
            r"give it|given|pass(?:ed)?(?: (?:it|this|me|her|him))?|assign(?:ed)?(?: (?:it|"
            r"this))?|speak|"
            r"talk|spoke|talked|belongs?|reports?|married|explained|mentioned it|through|gone|goes|"
            r"apologi[sz]e|listened|refund it|refund|transfer it|ship it|send it|sent it|"
            r"owed) to\s$|"
            r"(?<![a-z])(?:as )?per\s$|(?<![a-z])(?:met|tell|told|ask|asked|inform(?:ed)?|notify|"
            r"notified|remind|"
            r"reminded|invite|invited|thank|cc'?d?|ring|rang|both|either|neither|phone[dr]?|"
            r"blame|married)\s$|"
            r"(?<![a-z])(?:table|booking|booked|reservation|reserved|room|parcel|package|message|"
            r"letter|gift|"
            r"present|che(?:que|ck)|prescription|appointment|calling|looking|waiting|asking|"
            r"delivery|cake|"
            r"voicemail|complaint|email|text|payment|transfer|quote) (?:is |was )?(?:for|under|"
            r"from)\s$|"
            r"(?<![a-z])(?:account|profile|password|mailbox|access|permissions|badge|desk|behalf|"
            r"attention|"
            r"mother|father|son|daughter|wife|husband|widow|estate|care|details|number|email|"
            r"records?) "
            r"(?:of|for)\s$|"
            r"(?<![a-z])(?:user|client|guest|customer|tenant|member|employee|colleague|patient|"
            r"subscriber|"
            r"resident|student|passenger|agent|advisor|visitor|applicant|claimant|witness)\s$|"
            r"(?<![a-z])(?:sorry|lovely|great|thanks|thank you|perfect|okay|ok|no worries|"
            r"no problem|understood|"
            r"right|sure|morning|evening|afternoon|hear that|bye|welcome|hi|hello|hey|well|"
            r"listen|look)"
            r"(?: \w+){0,3},\s$|"
            r"(?:^|[.!?\n]\s*|(?:to whom it may concern|hereby), )I,\s$|"
            r"(?<![a-z])(?:from|to|by|cc|bcc):\s?$|"
            r"(?<![a-z])(?:add|remove|delete|unlock|replace|promote|invite|enrol|onboard|"
            r"offboard|reactivate|"
            r"deactivate|pay|paid|owe[sd]?|refunded|charged|hired?|fired?|visit(?:ed)?)\s$|"
            r"(?:^|\n)[\[(]?\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?: ?[ap]m)?[\])]?\s?(?:-\s)?$",
            re.IGNORECASE,
        ),
        2,
    ),
    (
        re.compile(
            r"(?:^|[.!?,;] |(?<![a-z])(?:so|and|but|then|please) )(?:could|can|did|does|do|has|"
            r"have|is|was|"
            r"will|would|should|why (?:was|is|did|does|has)|what (?:did|does|is|was)|who is|"
            r"when (?:did|does|will|is|can)|where (?:is|did|does)|how (?:did|does))\s$|"
            r"(?<![a-z])(?:whether|if|that|because|when|since|says|said|think|thought|believe|"
            r"guess|know|heard|"
            r"maybe|probably|perhaps|and|or|not|by|from|with|to|for|call|called|contact|"
            r"email(?:ed)?|"
            r"text(?:ed)?|saw|see|get|help|helped|trust|want|need|give|gave|under|of|about|old|"
            r"young|"
            r"little|poor|dear|was|is)\s$|@\s?$|[(\"“]$",
            re.IGNORECASE,
        ),
        1,
    ),
)
"""What stands before a name, and how much it says."""

RIGHT: tuple[tuple[re.Pattern[str], int], ...] = (
    (
        re.compile(
            r"\s(?:speaking|here)(?:[,.!]|$)|"
            r"\s(?:is out of (?:the )?office|"
            r"is on (?:annual |sick |parental )?(?:leave|holiday|vacation)|"
            r"(?:has )?(?:left|joined) the (?:conversation|chat|call|group|channel|meeting|room)|"
            r"swapped (?:shifts?|with)|called in sick|is typing|was rear-ended|did not appear|"
            r"has (?:read|seen) (?:it|but))(?![a-z])|"
            r"\s\((?:customer|policy|the insured|account|mother|father|sister|brother|wife|"
            r"husband|son|"
            r"daughter|my|our|aged|dob|hr|it|ceo|cfo|he|she|they|client|tenant|mr|ms|mrs)(?![a-z])|"
            r",\s(?:hereby|the undersigned|authori[sz]e)|\sknow(?:s)?(?=[ ,.?!]|$)|"
            r"\swith an? [\"']?[a-zA-Z]{1,3}[\"']?(?=[ ,.]|$)",
            re.IGNORECASE,
        ),
        3,
    ),
    (
        re.compile(
            rf"(?:'s|\u2019s)\s(?:\w+\s)?(?:{_THINGS})(?![a-z])|"
            rf"\s(?:from|in|at|over at|over in) (?:{_UNITS})(?![a-z])|"
            r"\s(?:said|says|told|asked|promised|replied|wrote|emailed|texted|called (?:me|us|"
            r"back|in|about)|"
            r"confirmed|insisted|insists|claims|complained|apologi[sz]ed|refuse[sd]|agreed|"
            r"forgot|missed|"
            r"couldn't|could not|can't|cannot|won't|doesn't|didn't|hasn't|never|left (?:me|us|"
            r"the company|a)|"
            r"rang|ring (?:me|us)|call (?:me|us|back)|sign(?:ed|s)?(?![a-z])|still (?:work|handl|"
            r"ha|wait|need)|"
            r"reports?(?![a-z])|reported|wants?|needs?|would like|would love|requested|requests|"
            r"prefers|"
            r"is (?:out of|on (?:leave|holiday|vacation|call|the phone|my|our)|available|still|"
            r"away|off|"
            r"locked|not (?:in|here|available|the)|the (?:owner|tenant|driver|contact|one|only|"
            r"person|new)|"
            r"my|our|his|her|waiting|asking|handling|calling|unable|moving|retiring|leaving)|"
            r"has (?:my|your|the|his|her|our|not|already|signed|asked|left|called|been|lost|"
            r"moved|passed|two|no)|"
            r"was (?:very|so|rude|helpful|kind|great|late|present|charged|here|lovely|the one|my|"
            r"our|on|"
            r"supposed|promised|told|double|handling|assigned|hired|off|sick)|"
            r"were both|are both|will (?:be|call|sign|collect|pick|ring|let)|"
            r"set (?:up|it)|fixed|installed|helped|handled|approved|rejected|resolved|escalated|"
            r"lost (?:his|her|their|my)|changed (?:his|her|their)|bought|ordered|paid|owes|lives|"
            r"works|get(?:s)? the|"
            r"got (?:the|his|her|a)|picked|collected|moved|retired|died|passed|swears|knows|"
            r"thinks)|"
            r",\s(?:he|she|they|who|aged|my|our|your (?:driver|agent|engineer|manager|host)|"
            r"in (?:accounts|hr|it))"
            r"(?![a-z])|\s(?:jr|sr|ii|iii)(?![a-z])|\s-\s(?:any|see|please|can|could|did|thanks|"
            r"re|fyi|just)(?![a-z])|"
            r",\s(?:how|what|can|could|please|let me|thanks|thank|i'm|i am|i will|i'll|you|your|"
            r"it's|did|do|are|is)"
            r"(?![a-z])",
            re.IGNORECASE,
        ),
        2,
    ),
    (
        re.compile(
            r"\s(?:has|is|was|will|did|does|can|and|or|who|on|at|from|about|yesterday|today|last|"
            r"this|as|to|"
            r"that|for|instead|again|back|please|in)(?![a-z])|[,.!?)\]:;\"”]|\s*$|\s[&(-]|"
            r"'s(?![a-z])",
            re.IGNORECASE,
        ),
        1,
    ),
)
"""What stands after a name, and how much it says."""

SIGNS = re.compile(
    r"(?:^|\n)[ \t]*(?:x{1,3}|xoxo|~|-{1,2}|love|ta|hugs|yours|best|cheers|thx|br|kr|"
    r"rgds)[,!]?\s?$",
    re.IGNORECASE,
)
LAST = re.compile(r"\s*x{0,3}[.!]?\s*$|[.!]?[ \t]*(?:\n|\| ?[A-Z])")
"""What stands before and after a name that is all in the last line of a letter."""

SIGNED = re.compile(
    r"(?:^|\n)[ \t]*(?:(?:kind|best|warm|many|with)?[ ]?(?:\w+ )?(?:regards|wishes|thanks|love)|"
    r"thanks(?: \w+)*|sent from my \w+(?: \w+)?|"
    r"thank you(?: \w+)*|thx|cheers|ta|best|sincerely|yours(?: \w+)?|love|rgds|br|kr|xx?|--?|–|"
    r"—)[,.!]?[ \t]*\n\s*$",
    re.IGNORECASE,
)
"""The end of a letter; in the next line somebody signs."""


def gain_before(before: str) -> int:
    """Return what the words before a place say."""
    return next((gain for cue, gain in LEFT if cue.search(before)), 0)


def gain_after(after: str) -> int:
    """Return what the words after a place say."""
    return next((gain for cue, gain in RIGHT if cue.match(after)), 0)
