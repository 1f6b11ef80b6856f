"""The wordings of questions. Those in RESERVED are asked only in held-out questions, never in training.

Placeholders: {name} a documented name, {other} a second one, {kind} its kind in words, {base} an imperative phrase,
{third} the same in the third person, {phrase} a description, {keywords} search words, {parameter} a parameter's name,
{where} " in json" or nothing, {using} " with json" or nothing.
"""

WHAT = (
    "What does {name} do?",
    "What is {name}?",
    "What is {name} for?",
    "What is {name} used for?",
    "What is the purpose of {name}?",
    "Explain {name}.",
    "Describe {name} in one sentence.",
    "Tell me about {name}.",
    "What does the {kind} {name} do?",
    "Summarise {name} for me.",
    "In Python, what is {name}?",
    "I came across {name}. What is it?",
    "{name}",
    "{name} meaning",
    "docs {name}",
    "what does {name} do",
    "Can you tell me what {name} is?",
    "Please explain the {kind} {name}.",
)
WHAT_RESERVED = (
    "What can I use {name} for?",
    "Give me a short description of {name}.",
    "Why would someone use {name}?",
    "How would you describe {name}?",
    "what's {name}",
)

WHICH_VERB = (
    "Which {kind}{where} {third}?",
    "What {kind}{where} {third}?",
    "How do I {base}{using}?",
    "How can I {base}{using}?",
    "How to {base}{using}?",
    "I need to {base}{using}.",
    "I want to {base}{using}. What should I use?",
    "Is there a {kind}{where} that {third}?",
    "Name the {kind}{where} that {third}.",
    "What should I use to {base}{using}?",
    "{base}{using}",
    "python {base}{using}",
    "how do i {base}{using} in python",
    "{kind} to {base}{using}",
    "Find the {kind}{where} that {third}.",
    "What can I call to {base}{using}?",
)
WHICH_VERB_RESERVED = (
    "How would you {base}{using}?",
    "I am looking for a {kind}{where} that {third}.",
    "What is the way to {base}{using}?",
    "Show me what to use to {base}{using}.",
    "Do you know a {kind}{where} that {third}?",
)

WHICH_NOUN = (
    "Which {kind}{where} is {phrase}?",
    "What {kind}{where} is {phrase}?",
    "What is the name of {phrase}{where}?",
    "I am looking for {phrase}{where}.",
    "Where do I find {phrase}{where}?",
    "Name the {kind}{where} that is {phrase}.",
    "Is there {phrase}{where}?",
    "I need {phrase}{where}.",
    "What gives me {phrase}{where}?",
    "{phrase}{where}",
    "python {phrase}{where}",
    "{kind} {phrase}{where}",
    "Find {phrase}{where}.",
)
WHICH_NOUN_RESERVED = (
    "What would you call {phrase}{where}?",
    "Does Python have {phrase}{where}?",
    "I could use {phrase}{where}.",
    "Show me {phrase}{where}.",
)

WHICH_STATE = (
    "Which {kind}{where} is {phrase}?",
    "What {kind}{where} is {phrase}?",
    "What is {phrase}{where}?",
    "Name the {kind}{where} that is {phrase}.",
    "Find the {kind}{where} that is {phrase}.",
    "I am looking for the {kind}{where} that is {phrase}.",
    "{phrase}{where}",
    "python {kind} {phrase}{where}",
    "Is there a {kind}{where} that is {phrase}?",
    "Tell me which {kind}{where} is {phrase}.",
)
WHICH_STATE_RESERVED = (
    "Do you know what {kind}{where} is {phrase}?",
    "Give me the {kind}{where} that is {phrase}.",
    "what's {phrase}{where}",
)

WHICH_PLAIN = (
    'Which {kind}{where} is described as "{phrase}"?',
    "Which {kind}{where} has this description: {phrase}?",
    'What{where} is documented as "{phrase}"?',
    "Find the {kind}{where} for this: {phrase}.",
    'Name the {kind}{where} described by "{phrase}".',
    'I need the {kind}{where} documented as "{phrase}".',
    "{phrase}{where}",
    "python {phrase}{where}",
    "{kind}{where}: {phrase}",
    "Which {kind}{where} fits: {phrase}?",
)
WHICH_PLAIN_RESERVED = (
    'What {kind}{where} matches the words "{phrase}"?',
    'Tell me the {kind}{where} that goes with "{phrase}".',
    "looking for {kind}{where}: {phrase}",
)

WHICH_KEYWORDS = ("{keywords}{where}", "python {keywords}{where}", "{kind}{where} {keywords}", "{keywords}{where}?")

PARAMETER = (
    "What does the parameter {parameter} of {name} mean?",
    "What is {parameter} in {name}?",
    "What does {parameter} do in {name}?",
    "Explain the {parameter} argument of {name}.",
    "{name}: what is {parameter} for?",
    "In {name}, what does {parameter} control?",
    "How is {parameter} used by {name}?",
    "What should I pass as {parameter} to {name}?",
    "What is the meaning of {parameter} in {name}?",
    "{name} {parameter}",
    "{parameter} argument {name}",
    "{name} parameter {parameter}",
    "What effect does {parameter} have on {name}?",
)
PARAMETER_RESERVED = (
    "Tell me about the {parameter} parameter of {name}.",
    "Why does {name} take {parameter}?",
    "What role does {parameter} play in {name}?",
    "I do not understand {parameter} in {name}.",
)

COMPARE = (
    "How do {name} and {other} differ?",
    "What is the difference between {name} and {other}?",
    "{name} vs {other}",
    "Compare {name} with {other}.",
    "{name} or {other}: what does each do?",
    "When do I use {name} and when {other}?",
    "What do {name} and {other} do?",
    "Explain {name} and {other}.",
    "Contrast {name} and {other}.",
    "difference {name} {other}",
    "I mix up {name} and {other}. What are they?",
    "What are {name} and {other}?",
)
COMPARE_RESERVED = (
    "Should I use {name} or {other}?",
    "How is {name} different from {other}?",
    "What sets {name} apart from {other}?",
)

WHICH = {
    "verb": (WHICH_VERB, WHICH_VERB_RESERVED),
    "noun": (WHICH_NOUN, WHICH_NOUN_RESERVED),
    "state": (WHICH_STATE, WHICH_STATE_RESERVED),
    "plain": (WHICH_PLAIN, WHICH_PLAIN_RESERVED),
}
