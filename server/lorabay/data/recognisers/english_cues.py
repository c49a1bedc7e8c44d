"""Words around a name in Latin letters, in English and in Chinese sentences."""

from __future__ import annotations

import re

TITLE = re.compile(
    r"(?<![A-Za-z])(?i:mr|mrs|ms|miss|mx|dr|prof|professor|doctor|captain|capt|judge|officer|sgt|"
    r"sergeant|rev|nurse|madam|sir|lady|lord|aunt|uncle|sra?|herr|frau|mme|monsieur|mdm|messrs|cllr|councillor)\.?\s+$"
)
"""A title; the name follows."""

LABEL = re.compile(
    r"(?:(?<![A-Za-z])(?i:my name is|my name's|name is|name's|"
    r"(?:(?:full|first|last|customer|cardholder|given|family)[ -])?(?:sur)?names?(?=[ ]*[:：]|"
    r"[ ][A-Z]{2})|"
    r"account holder|card ?holder|card ?holder name|recipient|attn|attention|consignee|payee|"
    r"beneficiary|beneficiary should be|passenger|patient|applicant|contact person|signed by|"
    r"signed for by|approved by|reported by|submitted by|requested by|prepared by|handled by|"
    r"processed by|authori[sz]ed by|created by|assigned to|belongs to|registered to|addressed to|"
    r"nominee|witness|guarantor|approver|participants?|attendees?|claimant|policy ?holder|"
    r"account owner|joint owner|maiden name,|plaintiff|defendant|borrower|requestor|requester|"
    r"lessee|lessor|signatory|complainant|respondent|petitioner|deponent|occupant|"
    r"(?:assignee|owner|requester|reporter|approver|contact|agent|handler) changed(?: from)?|"
    r"(?:reservation|booking|booked|reserved|registered|listed|filed|checked in) under|"
    r"(?:someone|somebody|man|woman|guy|lady|person) called|insured|spouse|co-?signer|ticket owner|"
    r"collected by|picked up by|witnessed by|installed by|"
    r"booking for|interviewed|escalated by|reviewed by|raised by|opened by|paid by|sent by|"
    r"delivered by|written by|on behalf of|in the name of|under the name|named|called me|"
    r"emergency contact|next of kin|"
    r"care of|c/o|ask(?:ed|ing)? for|speak(?:ing)? (?:to|with)|spoke (?:to|with)|talk(?:ed|"
    r"ing)? (?:to|with)|"
    r"chatting with|connected (?:to|with)|told by|helped by|maiden name was|maiden name is|"
    r"rep|cc|dear|yours truly|yours faithfully|yours sincerely|sincerely|sincerely yours|"
    r"(?:kind|best|warm)(?:est)? (?:regards|wishes)|regards|cheers|signed|many thanks)"
    r"|姓名|名字|我叫|名叫|叫做|联系人|收件人|收货人|持卡人|乘客|旅客|申请人|英文名|称呼|户名|"
    r"客户|抬头)"
    r"(?i:\s(?:is|was|should (?:be|read)|reads))?"
    r"[\s:：,，.\-(\"*是为]{0,4}$"
)
"""What leaves no doubt that a name follows."""

SAID = re.compile(
    r"(?<![A-Za-z])(?i:i am|i'm|im|this is|it is|it's|its|hi|hello|hey|good morning|good afternoon|"
    r"good evening|thanks|thank you|thx|warmly|xoxo|says|best|welcome|tell|told|ask|asked|contact|"
    r"transfer(?:red)? to|transfer the \w+ to|speaking|我是|这是|您好|你好)[\s,:!-]{1,3}$"
)
"""What is often followed by a name, and by much else."""

ASKED = re.compile(r"(?<![A-Za-z])(?i:it'?s|it is|sure|yes|yeah|of course)[,:]? $(?<=^.{12})")

ROLE = re.compile(
    r"(?<![A-Za-z])(?i:husband|wife|son|daughter|mother|mom|mum|father|dad|brother|sister|"
    r"(?:brother|sister|mother|father)-in-law|partner|friend|colleague|boss|neighbou?r|roommate|"
    r"flatmate|assistant|accountant|lawyer|landlord|tenant|driver|technician|engineer|agent|"
    r"advisor|"
    r"adviser|manager|supervisor|rep|nurse|student|patient|passenger|customer|cleaner|courier|"
    r"plumber|electrician|teacher|doctor|fianc[ée]e?|cousin|uncle|aunt|secretary|carer|therapist|"
    r"grand(?:son|daughter|ma|pa|mother|father)|step(?:son|daughter|mother|father)|nephew|niece|ex|"
    r"ex-(?:husband|wife)|spouse|girlfriend|boyfriend|buddy|classmate|co-?worker|mechanic|intern|"
    r"trainee|operator|receptionist|installer|clerk|consultant|broker|underwriter|surveyor|vet|"
    r"coach|tutor|nanny|babysitter|godson|twin|walker|sitter|gardener|builder|decorator|au pair|"
    r"godmother|godfather|goddaughter|guardian|caretaker|concierge|porter|janitor|kid)"
    r"[\s,:(]{1,3}$"
)
"""What somebody is; the name may follow."""

HINT = re.compile(
    r"(?<![A-Za-z])(?i:tell|told|ask|asked|call|called|contact|met|with|by|to|from|add|for|cc|"
    r"and|is|remove|invite|between|about|regarding|instead of|"
    r"thanks|please|was|not|user|member)[\s,:(]{1,3}$|[的叫是给找和跟让请]\s?$|[@(]$"
)
"""What makes a name of a list likelier."""

AFTER = re.compile(
    r"\s?(?:先生|女士|小姐|老师|经理|总|说)|'s(?![A-Za-z])|\u2019s(?![A-Za-z])|\s+(?i:said|"
    r"says|told|promised|called|requested|asked|"
    r"signed|handled|here|speaking|from|has|had|was|is|and|on (?:mon|tue|wed|thu|fri|sat|sun)|"
    r"never|"
    r"will|can|needs|wants|lost|placed|sent|wrote|set|got|did|does|would|could|left|gave|took|"
    r"bought|ordered|installed|fixed|visited|came|went|recommended|advised|texted|also|already|"
    r"still|couldn't|can't|won't|didn't|doesn't|isn't|wasn't|hasn't)(?![A-Za-z])|[:：]\s|\s*[,)(]|\s*$|[.!]"
)
"""What follows a name."""

SPEAKER = re.compile(r"[:：]\s")

ACTS = re.compile(
    r"\s+(?i:reported|forgot|wants|needs|replied|wrote|emailed|escalated|approved|accepted|"
    r"opened|owes|paid|signed|raised|has (?:two|not|been|never|an?)|is (?:the|my|our|an?|on|in|out|"
    r"asking|waiting|locked|travelling|not)|was (?:present|here|very)|will be|would like|can't log|"
    r"(?:\w+ )?asked|said|says|told|promised|called|requested|signed for|handled|"
    r"never [a-z]+ed|"
    r"at (?:the|your) (?:[A-Z]\w+ )?(?:branch|office|store|desk|shop|counter)|"
    r"from (?:the|your) (?:\w+ )?(?:team|branch|office|desk|support|shop|store|department)|"
    r"has never|claims|insists|agreed|confirmed|refused|complained|lives|works|"
    r"lost (?:his|her|their))(?![A-Za-z])"
)
"""What only people do."""

DID = re.compile(
    r"\s+(?i:called|said|says|asked|told|promised|forgot|replied|wrote|emailed|signed|confirmed|"
    r"wants|needs|insists|complained|swears|picked up|rang|"
    r"texted|hung up|apologi[sz]ed|assured|prescribed|resigned|left (?:me|us|a note|a voicemail|"
    r"a message)|is (?:on|off) (?:leave|sick|holiday|vacation|maternity)|prefers|recommends|"
    r"will (?:call|ring|be (?:back|in|away|off)|pick|send|come|sign)|refuses|handed|owes|"
    r"is (?:off|away|out) (?:in|on|until|today|tomorrow|this)|paid the|lost (?:his|her)|"
    r"didn't (?:call|show|sign|answer|reply)|has (?:left|moved|gone) (?:the|to|home|on)|"
    r"remembers|thinks|hopes|agrees|disagrees|married)(?![A-Za-z])"
)
"""What says that a person is meant, also where the name is a word."""

HERE = re.compile(r"\s+(?i:here|speaking)(?![A-Za-z])")

JOINT = re.compile(r"(?:\s+and|\s*&)\s+$")
"""What stands between two names."""

_SMALL_NAME = r"(?P<name>[a-z][a-z'-]{1,20}(?: [a-z][a-z'-]{1,20}){0,2})"
SMALL_ANY = re.compile(
    r"(?<![A-Za-z])(?i:(?:my|his|her|their) (?:full |first |last )?name(?:'s| is| was|s)|"
    r"(?:reservation|booking|account|it)(?: is|'s|s)? under(?: the name(?: of)?)?|"
    rf"(?:someone|somebody|guy|man|woman|lady|person) (?:called|named)|"
    rf"(?:name|owner|assignee|requester|reporter|assigned to|reported by|created by):) "
    rf"{_SMALL_NAME}(?![a-z])"
)
"""Names in small letters, whatever they are."""

_PEOPLE = (
    "husband|wife|son|daughter|mother|mom|mum|father|dad|brother|sister|partner|friend|colleague|"
    "boss|neighbou?r|roommate|flatmate|assistant|accountant|lawyer|landlord|tenant|driver|"
    "technician|engineer|agent|manager|supervisor|rep|customer|cleaner|courier|plumber|teacher|"
    "cousin|uncle|aunt|auntie|grandma|grandpa|girlfriend|boyfriend|fiance|client|guy|nephew|niece"
)
SMALL = re.compile(
    r"(?<![A-Za-z])(?i:i am|i'm|im|this is|it's|its|hey its|call(?:ed)?|ask(?:ed)?|ask for|"
    r"tell|told|"
    r"contact|with|to|hi|hello|hey|dear|thanks|thx|ty|cheers|ok|okay|fyi|per|ping|blame|cc|by|for|ta|lol|yo|w/|swap|told|like|uh|um|er|erm|"
    r"and|is|was|says|said|thank you|good morning|good evening|good afternoon|morning|evening|love|"
    r"regards|from|named|called|yours|best|sincerely|"
    rf"(?:{_PEOPLE})),? "
    r"(?:(?:uh|um|er|erm|uhm|big|old|lil|little|young|uncle|auntie?),? )?"
    r"(?!(?:its|im|thx|thanks|hi|hey|ok|okay) )(?P<name>[a-z][a-z'-]{2,20})(?![a-z@.]\w)"
)
"""Names in small letters, if they are on the list."""

SMALL_BEFORE = re.compile(
    r"(?:^|(?<=[\n.!?,@] )|(?<=[@<]))(?P<name>[a-z][a-z'-]{2,20})"
    r"(?= (?:here|speaking|said|says|told|promised|called|asked|signed|sent|wrote|has|is|was|from|"
    r"can you|could you|can u|please|pls|did|wants|needs)(?![a-z])|:|>|,|\?| it'?s)",
    re.MULTILINE,
)
"""Names in small letters, if they are on the list, by what follows them."""

_DOES = (
    "said|says|told|promised|called|calls|requested|asked|asks|signed|handled|here|speaking|from|"
    "has|had|was|is|isn't|wasn't|hasn't|and|or|never|will|won't|can|can't|could|couldn't|would|"
    "should|did|didn't|does|doesn't|needs|wants|lost|lives|works|paid|pays|placed|sent|wrote|"
    "bought|got|took|gave|went|put|left|found|forgot|came|made|knows|thinks|owns|owes|goes|keeps|"
    "also|already|still|again|just|always|who|whom|whose|because|but|if|when|while|before|after|"
    "in|at|on|to|for|with|by|of|about|as|since|via|re|please|pls|yesterday|today|tomorrow|"
    "regarding|the|your|my|our|his|her|their|this|that|he|she|i|you|we|they|not|are|were|have|"
    "know|get|see|call|check|sign|send|take|make|do|come|use|try|go|knows|swears|returned|"
    "next|over|down|up|out|be|been|broke|spoke|met|set|sold|held|told|led|ran|saw|kept|may|might|must|so|then|there"
)
PERSON = re.compile(rf"\s(?:(?:{_DOES})(?![A-Za-z'])|[a-z]+ed(?![a-z]))")
"""What follows a person rather than a brand."""

USES = re.compile(r"\s[a-z]{3,}")

NAME_ASKED = re.compile(
    r"(?i:(?:your|the|full|first|last|whose|\w+'s) (?:(?:full|first|last|given|family|middle) )?"
    r"(?:sur)?names?(?![A-Za-z])[^.]{0,40}\?|"
    r"(?:^|[.!?] )(?:and )?(?:the |your )?(?:full |first |last |family )?(?:sur)?name,? ?"
    r"(?:please)?[?.]?$|"
    r"who should (?:we|i) (?:make|put|address)|"
    r"who am i (?:speaking|talking|chatting)|"
    r"who is (?:this|calling|the)|whom am i|who (?:should|shall) (?:i|we)(?![A-Za-z])|"
    r"may i have (?:your|the) name|"
    r"name (?:please|on the)(?![A-Za-z]))"
)
"""What a turn says that asks for a name."""
