# SPDX-License-Identifier: Apache-2.0
"""Which programs a shell script calls by name: commands(text) gives (line, name) of each simple command.

Enough of bash's grammar for the scripts of this project: quotes, comments, here-documents, command and process substitution,
arrays, [[ ]], (( )), case patterns, functions. A name that is put together at run time ("$x") is left out, and so are
builtins, keywords and functions.
"""
import re

BUILTINS = set(""". : [ [[ alias bg break builtin cd command compgen continue declare dirs echo eval exec exit export false fg
getopts hash help history jobs kill let local logout mapfile popd printf pushd pwd read readarray readonly return set
shift shopt source suspend test times trap true type ulimit umask unalias unset wait""".split())
# What another command follows.
OPENERS = {"if", "then", "else", "elif", "while", "until", "do", "!", "{", "time"}
# Programs and functions that run the program that they are given, after options, numbers and assignments.
WRAPPERS = {"as_root", "env", "exec", "nice", "nohup", "setarch", "setsid", "sudo", "timeout", "unshare"}
PUNCTUATION = ";|&()\n<>"
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*(\[[^]]*\])?\+?=")


class Word(str):
    """A word without its quotes; `line` is where it begins, `plain` that nothing of it was quoted or put in."""
    line = 0
    plain = True


class Lexer:
    """Words and operators; the scripts inside substitutions go to `inner`, as (line, text)."""

    def __init__(self, text, line=1):
        self.text, self.at, self.line, self.inner = text, 0, line, []
        self.here = []  # delimiters of the here-documents that begin after this line

    def closing(self, opening, closing):
        """The text up to the matching parenthesis; `at` is after the opening one."""
        start, depth, quote = self.at, 1, ""
        while depth and self.at < len(self.text):
            c = self.text[self.at]
            if quote:
                quote = "" if c == quote else quote
            elif c == "\\":
                self.at += 1
            elif c in "'\"":
                quote = c
            else:
                depth += (c == opening) - (c == closing)
            self.at += 1
        return self.text[start:self.at - 1]

    def dollar(self):
        """Behind a "$"; what is put in is at run time."""
        line = self.line
        if self.text.startswith("((", self.at):
            self.at += 1
            inside = self.closing("(", ")")
        elif self.text.startswith("(", self.at):
            self.at += 1
            inside = self.closing("(", ")")
            self.inner.append((line, inside))
        elif self.text.startswith("{", self.at):
            self.at += 1
            inside = self.closing("{", "}")
        else:
            inside = re.compile(r"\w*|.").match(self.text, self.at)[0]
            self.at += len(inside)
        self.line += inside.count("\n")
        return "$"

    def double_quoted(self):
        out = ""
        while self.at < len(self.text):
            c = self.text[self.at]
            self.at += 1
            if c == '"':
                break
            if c == "\\":
                c = self.text[self.at]
                self.at += 1
            self.line += c == "\n"
            out += self.dollar() if c == "$" else c
        return out

    def word(self):
        out, line, plain = "", self.line, True
        while self.at < len(self.text) and self.text[self.at] not in PUNCTUATION + " \t":
            c = self.text[self.at]
            self.at += 1
            plain = plain and c not in "\\'\"$"
            if c == "\\":
                out += self.text[self.at].replace("\n", "")
                self.line += self.text[self.at] == "\n"
                self.at += 1
            elif c == "'":
                end = self.text.index("'", self.at)
                out += self.text[self.at:end]
                self.line += self.text.count("\n", self.at, end)
                self.at = end + 1
            elif c == '"':
                out += self.double_quoted()
            else:
                out += self.dollar() if c == "$" else c
        word = Word(out)
        word.line, word.plain = line, plain
        return word

    def here_documents(self):
        for delimiter in self.here:
            found = re.compile(rf"(.*?\n)?\t*{re.escape(delimiter)}(?=\n|$)", re.S).match(self.text, self.at)
            self.at = found.end() if found else len(self.text)
            self.line += found[0].count("\n") if found else 0
        self.here = []

    def redirection(self):
        operator = re.compile(r"<<<|<<-?|<>|>>|>\||[<>]&?").match(self.text, self.at)[0]
        self.at += len(operator)
        if self.text.startswith("(", self.at):  # process substitution: a word of its own
            self.at += 1
            self.inner.append((self.line, self.closing("(", ")")))
            return
        self.at += len(re.compile(r"[ \t]*").match(self.text, self.at)[0])
        if self.text.startswith("<(", self.at):
            return
        target = self.word()
        if operator.startswith("<<") and operator != "<<<":
            self.here.append(target)

    def tokens(self):
        """Word objects, and operators as plain str."""
        while self.at < len(self.text):
            c = self.text[self.at]
            if c in " \t":
                self.at += 1
            elif c == "\\" and self.text[self.at + 1:self.at + 2] == "\n":
                self.at, self.line = self.at + 2, self.line + 1
            elif c == "#":
                self.at = self.text.find("\n", self.at) if "\n" in self.text[self.at:] else len(self.text)
            elif c == "\n":
                self.at, self.line = self.at + 1, self.line + 1
                self.here_documents()
                yield "\n"
            elif c in "<>" or (c == "&" and self.text[self.at + 1:self.at + 2] == ">"):
                self.at += c == "&"
                self.redirection()
            elif c in PUNCTUATION:
                operator = re.compile(r";;|&&|\|\||.").match(self.text, self.at)[0]
                self.at += len(operator)
                yield operator
            else:
                yield from self.number_or_word()

    def number_or_word(self):
        word = self.word()
        if not (word.isdigit() and self.text[self.at:self.at + 1] in ("<", ">")):
            yield word


class Parser:
    def __init__(self, text, line):
        lexer = Lexer(text, line)
        self.tokens = list(lexer.tokens())
        self.inner = lexer.inner
        self.functions = {name for name, opening, closing in zip(self.tokens, self.tokens[1:], self.tokens[2:])
                          if isinstance(name, Word) and (opening, closing) == ("(", ")")}

    def skip_to(self, i, *ends):
        while i < len(self.tokens) and self.tokens[i] not in ends:
            i += 1
        return i

    def simple_commands(self):
        """Lists of words."""
        i, command, cases = 0, [], 0
        while i < len(self.tokens):
            token = self.tokens[i]
            i += 1
            if not isinstance(token, Word):
                if token == "(" and command and ASSIGNMENT.fullmatch(command[-1]):
                    i = self.skip_to(i, ")") + 1
                    continue
                yield command
                command = []
                if token == ";;" and cases:
                    i = self.pattern(i)
            elif not command and token.plain and token in OPENERS:
                pass
            elif not command and token == "for":
                i = self.skip_to(i, ";", "\n", "do")
            elif not command and token == "case":
                cases, i = cases + 1, self.pattern(self.skip_to(i, "in") + 1)
            elif not command and token == "esac":
                cases -= 1
            elif not command and token == "[[":
                i = self.skip_to(i, "]]") + 1
            elif not command and token in ("done", "fi", "}", "in"):
                pass
            else:
                command.append(token)
        yield command

    def pattern(self, i):
        """Behind the pattern of a case, or at its end."""
        while i < len(self.tokens) and self.tokens[i] in ("\n", ";"):
            i += 1
        if i < len(self.tokens) and self.tokens[i] == "esac":
            return i
        return self.skip_to(i, ")") + 1


def unwrapped(words):
    """The words from the program on that is run in the end, with each wrapper on the way."""
    words = [word for word in words]
    while words:
        while words and ASSIGNMENT.match(words[0]):
            words = words[1:]
        if not words:
            return
        yield words
        if words[0] not in WRAPPERS:
            return
        words = words[1:]
        while words and (words[0].startswith(("-", "$")) or re.fullmatch(r"[\d.]+[smhd]?|private", words[0])):
            words = words[1:]


def commands(text, line=1, functions=frozenset()):
    """(line, name) of every program that is called by its name."""
    parser = Parser(text, line)
    functions = functions | parser.functions
    for simple in parser.simple_commands():
        for words in unwrapped(simple):
            name = words[0]
            if name not in BUILTINS and name not in functions and re.fullmatch(r"[\w.+-]+", name):
                yield name.line, str(name)
            if name in ("bash", "sh") and any(re.fullmatch(r"-\w*c", word) for word in words):
                for script in [word for word in words[1:] if not word.startswith("-") and word != "pipefail"][:1]:
                    yield from commands(script, script.line, functions)
    for where, inside in parser.inner:
        yield from commands(inside, where, functions)
