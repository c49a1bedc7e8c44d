"""The parts of an address in Latin letters, as patterns: flats, houses, streets, codes.

Each is the text of a pattern without a name in it, so that parts can be put together. Knows nothing
of what a whole address is.
"""

from __future__ import annotations

STATES = (
    "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ "
    "NM NY NC "
    "ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY DC PR "
    "AS GU MH MP FM PW VI AA AE AP ON QC BC AB MB SK NS NB NL PE NSW VIC QLD TAS ACT NT SA"
)
"""States and provinces by their letters."""

STATE = "|".join(STATES.split())

STATE_NAME = (
    "Alabama|Alaska|Arizona|Arkansas|California|Colorado|Connecticut|Delaware|Florida|Georgia|"
    "Hawaii|Idaho|Illinois|Indiana|Iowa|Kansas|Kentucky|Louisiana|Maine|Maryland|Massachusetts|"
    "Michigan|Minnesota|Mississippi|Missouri|Montana|Nebraska|Nevada|New Hampshire|New Jersey|"
    "New Mexico|New York|North Carolina|North Dakota|Ohio|Oklahoma|Oregon|Pennsylvania|"
    "Rhode Island|South Carolina|South Dakota|Tennessee|Texas|Utah|Vermont|Virginia|Washington|"
    "West Virginia|Wisconsin|Wyoming"
)

COUNTRY = (
    "USA|U\\.S\\.A\\.|UK|United Kingdom|United States|Canada|Australia|New Zealand|China|Ireland|"
    "Hong Kong|Singapore|Malaysia|India|Germany|France|Italy|Spain|Netherlands|Taiwan|Japan"
)

LONG_TYPE = (
    "Street|Avenue|Road|Boulevard|Lane|Drive|Court|Place|Square|Terrace|Circle|Parkway|Highway|"
    "Close|Crescent|Grove|Gardens|Mews|Parade|Quay|Trail|Turnpike|Alley|Embankment|Broadway|"
    "Causeway|Promenade|Esplanade|Plaza"
)
"""Kinds of streets in full."""

TYPE_THAT_IS_A_WORD = (
    "Way|Hill|Row|Walk|Rise|View|Green|Path|Loop|Run|Pike|Park|Gate|Vale|Wharf|Bridge|Point|"
    "Ridge|Crossing|Heights|Cottages|Fields|Meadow|Mount|End|Approach|Yard|Wynd|Bend|Hollow|Cove|"
    "Dell|Croft|Garth|Leys|Lea|Chase|Copse|Drove|Fold|Glade|Glen|Haven|Knoll|Mead|Orchard|Paddock|"
    "Spinney|Spur|Strand|Warren|Woods|Dene|Brae|Brow|Bank|Common|Ride|Passage|Lawn|Mall"
)
"""Kinds of streets that are also words: they need a city, a code or a cue."""

TYPE = (
    rf"(?:{LONG_TYPE}|Str|St|Ave?|Rd|Blvd|Ln|Dr|Ct|Pl|Sq|Ter|Terr|Cir|Pkwy|Hwy|Cres|Cl|Gdns|"
    rf"Trl|Pde|Tce|Wy|{TYPE_THAT_IS_A_WORD})"
)

DIRECTION = r"(?:[NSEW]|N[EW]|S[EW]|North|South|East|West)\.?"

NUMBER = (
    r"(?:[Nn](?:o\.?|umber)\s?)?[NSEW]?\d{1,6}[½¼¾]?(?:[A-Za-z](?![A-Za-z])|\sbis)?"
    r"(?:\s?[-/]\s?\d{1,4}[A-Za-z]?)?"
)
"""Number of a house: 12, 12b, 12 bis, 12-14, 3/12, No. 12."""

WORD = r"(?:[A-Z][A-Za-z'\u2019.-]*|\d{1,3}(?:st|nd|rd|th)|(?:de|la|del|the|of|le|el)(?=\s))"
"""A word in the name of a street."""

PLACE_WORD = r"[A-Z\u00c0-\u00de][A-Za-z\u00c0-\u024f'\u2019-]+"
"""A word in the name of a house or a city."""

_FLAT_KIND = (
    "Flat|Apartment|Apt|Unit|Suite|Ste|Room|Rm|Floor|Fl|Building|Bldg|Block|Blk|Lot|Level|Shop|"
    "Tower|Penthouse|Warehouse|Villa|Stall|Bay|Plot|House|Phase|Site|Dock|Bed|Studio|Office|"
    "Gate|Slip|Pitch|Stand|Space|Trailer|Hall|Lab|Ward|Pier|Berth|Hangar|Loading Dock|Door|Kiosk|"
    "Caravan|Cabin|Barrack|Comp|Box|Hut|Wing"
)
FLAT = (
    rf"(?:(?:{_FLAT_KIND})\.?\s?(?:[Nn]o\.?\s?)?#?\s?"
    r"(?:[A-Za-z]?\d{1,5}(?:-\d{1,4})?[A-Za-z]?|[A-Z])(?![A-Za-z'])"
    r"|(?i:basement|garden|ground floor|top floor|upper|lower|rear|attic) [Ff]lat(?![A-Za-z])"
    r"|#\s?[A-Za-z]?\d{1,5}(?:-\d{1,5})?[A-Za-z]?|\d{1,3}/F(?![A-Za-z])|G/F(?![A-Za-z])"
    r"|\d{1,3}[A-Z]?F(?:-\d{1,2})?(?=,)|(?:\d{1,3}(?:st|nd|rd|th)|Top|Ground)\s[Ff]l(?:oor)?"
    r"(?![A-Za-z])|[A-Z]-\d{1,4}(?=,))"
)
"""A flat, a floor, a block, a lot: something in or of a building."""

NUMBERED_PART = (
    r"(?:Road|Street|Sector|Lane|Ward|Phase|Avenue|Block|Zone)\s(?:No\.?\s)?\d{1,3}[A-Z]?"
)
"""A road or a sector that has a number for a name: Road 5, Sector 18."""

HOUSE_KIND = (
    "House|Cottage|Lodge|Farm|Rectory|Vicarage|Manor|Hall|Mill|Barn|Court|Tower|Towers|Mansions?|"
    "Building|Estate|Apartments|Centre|Center|Foundry|View|Heights|Villas?|Point|Wharf|Works|"
    "Industrial Estate|Business Park|Market|Garden|Gardens|Chambers|Residences?|Condo|Residency|"
    "Docks?|Marina|Hospital|College|University|Campus|Resort|Mall|Arcade|Barracks|Fort|Terminal|"
    "(?:Mobile|Caravan|Retail|Science|Holiday|Trading|Technology) (?:Park|Estate)"
)
HOUSE = rf"(?:(?:The\s)?(?:{PLACE_WORD}\s){{1,3}}(?:{HOUSE_KIND})|The\s(?:Old\s)?{PLACE_WORD})"
"""A house, an estate or a building by its name."""

BRITISH_CODE = r"[A-Z]{1,2}\d[A-Z\d]?\s?\d[A-Z]{2}"
CANADIAN_CODE = r"[A-Z]\d[A-Z]\s?\d[A-Z]\d"
IRISH_CODE = r"[A-Z]\d[\dW]\s?[A-Z\d]{4}"
CODE = (
    rf"(?:{BRITISH_CODE}|{CANADIAN_CODE}|{IRISH_CODE}|\d{{5}}(?:-\d{{4}})?|\d{{3}}-\d{{4}}|"
    rf"\d{{6}}|\d{{4}})(?![\dA-Za-z])"
)
"""A postal code."""
