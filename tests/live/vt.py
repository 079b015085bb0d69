"""A terminal's screen, as far as ncurses asks for it under TERM=xterm: what is not known here is an error, so that
a test sees what a user would."""
import re

SEQUENCE = re.compile(r"\x1b\[([?>=!]?)([0-9;]*)([@-~])|\x1b[()][A-Z0-9]|\x1b[78=>M]")


class Screen:
    def __init__(self, rows, columns):
        self.alternate = False
        self.cursor = True
        self.entered = 0  # times that the other screen was taken
        self.left = 0
        self.plain = ""  # what was written to the ordinary screen
        self.pending = ""
        self.resize(rows, columns)

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.clear()

    def clear(self):
        self.cells = [[" "] * self.columns for _ in range(self.rows)]
        self.row = self.column = 0
        self.top, self.bottom = 0, self.rows - 1  # of what scrolls
        self.last = " "

    def text(self):
        return "\n".join("".join(line).rstrip() for line in self.cells)

    def feed(self, text):
        self.pending += text
        while self.pending:
            if self.pending[0] == "\x1b":
                found = SEQUENCE.match(self.pending)
                if not found:
                    if len(self.pending) < 32:
                        return  # the rest of it is to come
                    raise AssertionError("unknown sequence %r" % self.pending[:32])
                self.pending = self.pending[found.end():]
                if found.group() == "\x1bM":
                    self.line_up()
                elif found.group(3):
                    self.control(found.group(1), found.group(2), found.group(3))
                continue
            char, self.pending = self.pending[0], self.pending[1:]
            self.put(char)

    def scroll(self, rows):
        """Up by so many lines, down if negative."""
        inside = self.cells[self.top:self.bottom + 1]
        blank = [[" "] * self.columns for _ in range(min(abs(rows), len(inside)))]
        inside = inside[rows:] + blank if rows > 0 else blank + inside[:rows]
        self.cells[self.top:self.bottom + 1] = inside[:self.bottom + 1 - self.top]

    def line_down(self):
        if self.row == self.bottom:
            self.scroll(1)
        else:
            self.row = min(self.row + 1, self.rows - 1)

    def line_up(self):
        if self.row == self.top:
            self.scroll(-1)
        else:
            self.row = max(self.row - 1, 0)

    def put(self, char):
        if not self.alternate:
            self.plain += char
            return
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.line_down()
        elif char == "\b":
            self.column = max(0, self.column - 1)
        elif char == "\t":
            self.column = min(self.columns - 1, self.column // 8 * 8 + 8)
        elif char >= " ":
            if self.column >= self.columns:  # as terminals wrap: with the next character
                self.column = 0
                self.line_down()
            self.cells[self.row][self.column] = char
            self.column += 1
            self.last = char

    def control(self, private, parameters, final):
        n = [int(p) if p else 0 for p in parameters.split(";")]
        one = max(1, n[0])
        if private == "?" and final in "hl":
            for mode in n:
                self.mode(mode, final == "h")
        elif private:
            raise AssertionError("unknown sequence %s%s%s" % (private, parameters, final))
        elif final == "H":
            self.row = min(self.rows, one) - 1
            self.column = min(self.columns, max(1, n[1] if len(n) > 1 else 1)) - 1
        elif final == "d":
            self.row = min(self.rows, one) - 1
        elif final == "G":
            self.column = min(self.columns, one) - 1
        elif final == "A":
            self.row = max(0, self.row - one)
        elif final == "B":
            self.row = min(self.rows - 1, self.row + one)
        elif final == "C":
            self.column = min(self.columns - 1, self.column + one)
        elif final == "D":
            self.column = max(0, self.column - one)
        elif final == "K":
            start, end = {0: (self.column, self.columns), 1: (0, self.column + 1), 2: (0, self.columns)}[n[0]]
            for column in range(start, min(end, self.columns)):
                self.cells[self.row][column] = " "
        elif final == "J":
            if n[0] in (2, 3):
                self.cells = [[" "] * self.columns for _ in range(self.rows)]
            elif n[0] == 0:
                self.control("", "0", "K")
                for row in range(self.row + 1, self.rows):
                    self.cells[row] = [" "] * self.columns
            else:
                raise AssertionError("J with %r" % parameters)
        elif final == "X":
            for column in range(self.column, min(self.columns, self.column + one)):
                self.cells[self.row][column] = " "
        elif final == "P":
            line = self.cells[self.row]
            self.cells[self.row] = line[:self.column] + line[self.column + one:] + [" "] * one
            self.cells[self.row] = self.cells[self.row][:self.columns]
        elif final == "@":
            line = self.cells[self.row]
            self.cells[self.row] = (line[:self.column] + [" "] * one + line[self.column:])[:self.columns]
        elif final == "b":
            for _ in range(one):
                self.put(self.last)
        elif final in "ST":
            self.scroll(one if final == "S" else -one)
        elif final == "r":
            self.top = one - 1
            self.bottom = min(self.rows, n[1] if len(n) > 1 and n[1] else self.rows) - 1
            self.row = self.column = 0
        elif final in "LM":
            top, self.top = self.top, self.row
            self.scroll(one if final == "M" else -one)
            self.top = top
            self.column = 0
        elif final in "mlht":  # colours, insert mode, window titles
            pass
        else:
            raise AssertionError("unknown sequence %s%s" % (parameters, final))

    def mode(self, mode, on):
        if mode == 1049:
            if on:
                self.entered += 1
                self.clear()
            elif self.alternate:
                self.left += 1
            self.alternate = on
        elif mode == 25:
            self.cursor = on
