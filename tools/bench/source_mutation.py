"""Changes of C++ sources for tools/bench/source_mutants: by rules on the text, without a parser.

What does not compile does not count, so the rules need not know types. Comments, texts of messages
and declarations that mean nothing at run time are left alone.
"""
import dataclasses
import math
import random
import re


@dataclasses.dataclass(frozen=True)
class Mutant:
    path: str  # from the root of the repository
    line: int  # of the first character that changes
    start: int
    end: int
    after: str
    rule: str

    def apply(self, text):
        return text[:self.start] + self.after + text[self.end:]

    def lines(self, text):
        """The changed lines before and after, with one space for each gap."""
        first = text.rfind("\n", 0, self.start) + 1
        last = text.find("\n", self.end)
        changed = text[first:self.start] + self.after + text[self.end:last]
        return " ".join(text[first:last].split()), " ".join(changed.split())


# Whose arguments are messages. Of the second group the first argument is a condition.
MESSAGES = r"(?:wrong|unknown|fail|refuse|undefined|fmt::format|BadFile|Mismatch|\.begin)"
CONDITIONS = r"(?:need|require|need_shape)"
REFUSALS = r"(?:wrong|unknown|fail|refuse|undefined|need\w*|require\w*|refuse_window|check\w*|throw)"
SKIPPED_LINES = re.compile(r"^\s*(?:#|static_assert|using |namespace |template <|\}  // namespace)")

# Text to look for, and what may come instead of it. Binary operators have spaces on both sides, so
# that angle brackets of templates and signs are none.
SWAPS = [
    ("relation", r" (<) ", ["<=", ">"]),
    ("relation", r" (<=) ", ["<", "=="]),
    ("relation", r" (>) ", [">=", "<"]),
    ("relation", r" (>=) ", [">", "=="]),
    ("relation", r" (==) ", ["!="]),
    ("relation", r" (!=) ", ["=="]),
    ("logic", r" (&&) ", ["||"]),
    ("logic", r" (\|\|) ", ["&&"]),
    ("arithmetic", r" (\+) ", ["-"]),
    ("arithmetic", r" (-) ", ["+"]),
    ("arithmetic", r" (\*) ", ["+"]),
    ("arithmetic", r" (/) ", ["*"]),
    ("arithmetic", r" (%) ", ["/"]),
    ("arithmetic", r" (<<) ", [">>"]),
    ("arithmetic", r" (>>) ", ["<<"]),
    ("arithmetic", r" (&) ", ["|"]),
    ("arithmetic", r" (\+=) ", ["-=", "="]),
    ("arithmetic", r" (-=) ", ["+="]),
    ("arithmetic", r" (\*=) ", ["=", "+="]),
    ("arithmetic", r" (\|=) ", ["="]),
    ("sign", r"(?<=[(,=?:\[{] )(-)(?=[\w(])|(?<=[(\[{])(-)(?=[\w(])", [""]),
    ("negation", r"(!)(?=[\w(])", [""]),
    ("min, max", r"\b(min)\(", ["max"]),
    ("min, max", r"\b(max)\(", ["min"]),
    ("bound", r"\b(upper_bound)\(", ["lower_bound"]),
    ("bound", r"\b(any_of|all_of)\(", ["none_of"]),
    ("bound", r"\b(first)\b(?=[;,)\]])", ["second"]),
    ("constant", r"\b(true)\b", ["false"]),
    ("constant", r"\b(false)\b", ["true"]),
    ("rounding", r"::(trunc)\(", ["floor"]),
    ("rounding", r"::(floor)\(", ["trunc"]),
    ("rounding", r"Rounding::(kFloor)\b", ["kTowardZero"]),
    ("rounding", r"Rounding::(kTowardZero)\b", ["kFloor"]),
    ("field", r"\b(lo)\b", ["hi"]),
    ("field", r"\b(hi)\b", ["lo"]),
    ("field", r"\b(height)\b", ["width"]),
    ("field", r"\b(width)\b", ["height"]),
    ("flow", r"\b(break);", ["continue"]),
    ("flow", r"\b(continue);", ["break"]),
]
SWAPS = [(rule, re.compile(found), after) for rule, found, after in SWAPS]
PARAMETER = re.compile(r"\s*(?:const )?[\w:<>, ]+[&*]? [&*]?\w+$")  # a type and a name
NUMBER = re.compile(r"(?<![\w.'])(\d[\d']*|0x[\da-fA-F]+)(?![\w.'])")


def masked(text):
    """As long as the text, with comments and the insides of strings blanked; of raw strings, which
    hold tables, the numbers stay."""
    pattern = re.compile(r'R"(\w*)\((.*?)\)\1"|//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'
                         r"'(?:\\.|[^'\\\n])'", re.S)

    def blank(match):
        found = match.group(0)
        if found.startswith('R"'):
            inside = re.sub(r'"[^"\n]*"', lambda m: '"' + "~" * (len(m.group(0)) - 2) + '"',
                            match.group(2))
            return found[:match.start(2) - match.start()] + inside + \
                found[match.end(2) - match.start():]
        fill = " " if found[0] == "/" else "~"
        return re.sub(r"[^\n]", fill, found)
    return pattern.sub(blank, text)


def matching(text, start):
    """The place behind the bracket that closes the one at `start`."""
    depth = 0
    for i in range(start, len(text)):
        depth += text[i] in "([{"
        depth -= text[i] in ")]}"
        if depth == 0:
            return i + 1
    return len(text)


def arguments_of(text, start):
    """Where each argument is of the list whose bracket is at `start`."""
    end, first, depth, spans = matching(text, start) - 1, start + 1, 0, []
    for i in range(start + 1, end):
        depth += text[i] in "([{"
        depth -= text[i] in ")]}"
        if depth == 0 and text[i] == ",":
            spans.append((first, i))
            first = i + 1
    spans.append((first, end))
    return [(a + len(text[a:b]) - len(text[a:b].lstrip()), b) for a, b in spans]


def without_messages(code):
    """The masked text with the arguments blanked that are messages."""
    result = list(code)

    def blank(start, end):
        for i in range(start, end):
            if result[i] != "\n":
                result[i] = "~"
    for match in re.finditer(MESSAGES + r"\(", code):
        blank(match.end(), matching(code, match.end() - 1) - 1)
    for match in re.finditer(r"Failure\{", code):
        blank(match.end(), matching(code, match.end() - 1) - 1)
    for match in re.finditer(r"\b" + CONDITIONS + r"\(", code):
        spans = arguments_of(code, match.end() - 1)
        if len(spans) > 1:
            blank(spans[0][1], spans[-1][1])
    return "".join(result)


def operand_end(code, start):
    """Where a term ends that begins at `start`."""
    depth = 0
    for i in range(start, len(code)):
        depth += code[i] in "([{"
        depth -= code[i] in ")]}"
        is_operator = re.match(r" (?:&&|\|\||[-+<>:=]|[<>=!]=) ", code[i:i + 4])
        if depth < 0 or (depth == 0 and (code[i] in ";,?" or is_operator)):
            return i
    return len(code)


def changes_of(text):
    """Yields (start, end, after, rule)."""
    code = masked(text)
    bare = without_messages(code)
    for rule, pattern, after in SWAPS:
        for match in pattern.finditer(bare):
            group = 1 if match.group(1) is not None else 2
            for one in after:
                yield match.start(group), match.end(group), one, rule
    for match in NUMBER.finditer(bare):
        number = int(match.group(1).replace("'", ""), 0)
        yield match.start(1), match.end(1), str(number + 1), "constant"
        if number > 0:
            yield match.start(1), match.end(1), str(number - 1), "constant"
    for match in re.finditer(r"\b(if|while) \(", bare):
        end = matching(bare, match.end() - 1)
        condition = text[match.end():end - 1]
        if ";" in condition or re.match(r"(?:const )?(?:auto|Int) ", condition):
            continue
        yield match.end(), end - 1, f"!({condition})", "negated condition"
        if match.group(1) == "if":
            yield match.end(), end - 1, "false", "condition never holds"
            yield match.end(), end - 1, "true", "condition always holds"
    for match in re.finditer(r" (?:&&|\|\||\+|-) (?=\S)", bare):
        yield match.start(), operand_end(bare, match.end()), "", "dropped term"
    # The first of several terms: what is dropped goes up to the second.
    for match in re.finditer(r"(?:(?<=[(=])|(?<=return))\s?(?=\S)", bare):
        end = operand_end(bare, match.end())
        operator = re.match(r"\s(?:&&|\|\|)\s", bare[end:end + 4])
        if operator:
            yield match.end(), end + operator.end(), "", "dropped term"
    for match in re.finditer(r"(?<=[\s)])" + REFUSALS + r"\b[^;{}]*", code):
        begin = match.start()
        before = code[:begin].rstrip()
        if not before or before[-1] not in ");{}" and not before.endswith("else"):
            continue
        end = code.find(";", begin)
        if re.match(r"[\w:]+(?:<[^;]*>)?\s*(?:\(|\{| )", code[begin:]) and end > 0:
            yield begin, end, "", "removed refusal"
    statement = r"(?<=[;{}\)]\n)\s+([\w.\[\]>*()-]+(?: [-+*|]?= |\.\w+\(|\()[^;{}]*;)"
    for match in re.finditer(statement, bare):
        yield match.start(1), match.end(1) - 1, "", "removed statement"
    for match in re.finditer(r"(?<=[\w>])[({](?=[\w*!-])", bare):
        if re.search(r"\b(?:min|max|minmax|gcd|lcm|equal)(?:<\w+>)?$", bare[:match.start()]):
            continue  # the same either way
        spans = arguments_of(bare, match.start())
        for (a, b), (c, d) in zip(spans, spans[1:]):
            one, other = text[a:b], text[c:d]
            if one.strip() != other.strip() and "~" not in bare[a:d] and \
                    not PARAMETER.match(one) and not PARAMETER.match(other):
                yield a, d, other + text[b:c] + one, "swapped arguments"


def mutants_of(path, text):
    """All mutants of a source, without those of lines that mean nothing at run time."""
    starts = [0] + [i + 1 for i, c in enumerate(text) if c == "\n"]
    lines = text.split("\n")
    result, line = {}, 0
    for start, end, after, rule in sorted(changes_of(text)):
        while line + 1 < len(starts) and starts[line + 1] <= start:
            line += 1
        mutant = Mutant(path, line + 1, start, end, after, rule)
        if not SKIPPED_LINES.match(lines[line]) and text[start:end] != after:
            result.setdefault(mutant.apply(text)[max(0, start - 40):end + 80], mutant)
    return list(result.values())


def sample(mutants_of_files, count, seed):
    """`count` mutants, evenly over lines: of each file as many as it has a share of all lines that
    can be changed, and of a line one before any has two. Which ones depends on that file alone."""
    lines = {path: {} for path in sorted(mutants_of_files)}
    for path, of in lines.items():
        for mutant in mutants_of_files[path]:
            of.setdefault(mutant.line, []).append(mutant)
    total = max(sum(len(of) for of in lines.values()), 1)
    chosen = []
    for path, of in lines.items():
        drawn = random.Random(f"{seed} {path}")
        queues = [drawn.sample(of[line], len(of[line])) for line in sorted(of)]
        drawn.shuffle(queues)
        share = math.ceil(count * len(of) / total)
        taken = []
        while queues and len(taken) < share:
            taken += [queue.pop() for queue in queues[:share - len(taken)]]
            queues = [queue for queue in queues if queue]
        chosen += sorted(taken, key=lambda m: (m.line, m.start, m.after))
    return chosen
