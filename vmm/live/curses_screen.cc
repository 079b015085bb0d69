#include "vmm/live/curses_screen.h"

#include <fcntl.h>
#include <langinfo.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

#define NCURSES_NOMACROS  // stdscr's short names would be macros
#include <curses.h>
#include <term.h>
#undef columns  // of term.h
#undef lines

namespace vmm {
namespace {

// A capability of the terminal as it is written: without padding, which no terminal of today needs.
std::string capability(const char* name) {
  const char* const text = ::tigetstr(const_cast<char*>(name));
  if (text == nullptr || text == reinterpret_cast<const char*>(-1)) return {};
  std::string bytes;
  for (std::string_view rest(text); !rest.empty();) {
    const size_t end = rest.starts_with("$<") ? rest.find('>') : std::string_view::npos;
    if (end == std::string_view::npos) bytes += rest.front();
    rest.remove_prefix(end == std::string_view::npos ? 1 : end + 1);
  }
  return bytes;
}

constexpr std::array<short, kLiveStyles> kColours{-1,          -1,        COLOR_CYAN,   -1,        -1,
                                                  COLOR_GREEN, COLOR_RED, COLOR_YELLOW, COLOR_BLUE};

attr_t attributes_of(LiveStyle style) {
  switch (style) {
    case LiveStyle::kTitle:
      return A_REVERSE;
    case LiveStyle::kStrong:
      return A_BOLD;
    case LiveStyle::kFaint:
      return A_DIM;
    default:
      return A_NORMAL;
  }
}

// newterm() takes over SIGTSTP and SIGWINCH where they are nobody's, and each refresh would set the first of them
// anew, which the view's sandbox forbids; here they are vmm/cli/terminal.h's. Where somebody ignores them it never
// touches them again.
class KeptSignals {
 public:
  KeptSignals() {
    struct sigaction ignored {};
    ignored.sa_handler = SIG_IGN;
    for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &ignored, &before_[i]);
  }
  KeptSignals(const KeptSignals&) = delete;
  KeptSignals& operator=(const KeptSignals&) = delete;
  ~KeptSignals() {
    for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &before_[i], nullptr);
  }

 private:
  static constexpr std::array kSignals{SIGTSTP, SIGWINCH};
  std::array<struct sigaction, kSignals.size()> before_{};
};

}  // namespace

struct CursesScreen::State {
  std::FILE* output = nullptr;  // in memory
  SCREEN* screen = nullptr;
  bool has_colours = false;
  bool utf8 = false;
  ~State() {
    if (screen != nullptr) ::delscreen(screen);
    if (output != nullptr) std::fclose(output);
  }
};

CursesScreen::CursesScreen(std::unique_ptr<State> state) : state_(std::move(state)) {}
CursesScreen::~CursesScreen() = default;

Result<std::unique_ptr<CursesScreen>> CursesScreen::open() {
  auto state = std::make_unique<State>();
  std::setlocale(LC_CTYPE, "");  // how wide characters are written
  state->utf8 = std::string_view(::nl_langinfo(CODESET)) == "UTF-8";
  const int memory = ::memfd_create("kvmux-screen", MFD_CLOEXEC);
  if (memory < 0) return host_error("memfd_create", errno, "--live draws into memory first");
  state->output = ::fdopen(memory, "w");
  if (state->output == nullptr) {
    const int error = errno;
    ::close(memory);
    return host_error("fdopen", error, "--live");
  }
  const KeptSignals kept;
  const char* const name = std::getenv("TERM");
  const std::string shown = name == nullptr || *name == '\0' ? "unknown" : name;
  state->screen = ::newterm(shown.c_str(), state->output, stdin);
  if (state->screen == nullptr || capability("cup").empty()) {
    return usage_error("--live",
                       "the terminal type '" + shown +
                           "' (TERM) is not known or cannot move its cursor; accepted is one that can, "
                           "like xterm or linux");
  }
  ::typeahead(-1);  // it does not look at what is typed
  ::nonl();
  state->has_colours = ::has_colors() && ::start_color() == OK && ::use_default_colors() == OK;
  for (size_t i = 0; state->has_colours && i < kColours.size(); ++i) {
    ::init_pair(static_cast<short>(i + 1), kColours[i], -1);
  }
  // With its first refresh ncurses takes the terminal, which is done elsewhere: nobody gets these bytes.
  ::wrefresh(stdscr);
  auto screen = std::unique_ptr<CursesScreen>(new CursesScreen(std::move(state)));
  if (const auto greeting = screen->take_bytes(); !greeting) return Failure(greeting.error());
  return screen;
}

std::string_view CursesScreen::enter() const {
  static const std::string text =
      capability("smcup") + capability("sgr0") + capability("civis") + capability("clear");
  return text;
}

std::string_view CursesScreen::leave() const {
  static const std::string text =
      capability("sgr0") + capability("op") + capability("clear") + capability("cnorm") + capability("rmcup");
  return text;
}

const LiveGlyphs& CursesScreen::glyphs() const { return state_->utf8 ? kUtf8Glyphs : kAsciiGlyphs; }

// What ncurses has written since, and room for more.
Result<std::string> CursesScreen::take_bytes() {
  const int fd = ::fileno(state_->output);
  std::string bytes;
  std::array<char, 16384> piece;
  for (;;) {
    const ssize_t got = ::pread(fd, piece.data(), piece.size(), static_cast<off_t>(bytes.size()));
    if (got < 0) return host_error("pread", errno, "--live");
    if (got == 0) break;
    bytes.append(piece.data(), static_cast<size_t>(got));
  }
  if (::lseek(fd, 0, SEEK_SET) != 0 || ::ftruncate(fd, 0) != 0)
    return host_error("ftruncate", errno, "--live");
  return bytes;
}

Result<std::string> CursesScreen::render(const LiveScreen& screen, LiveSize size, bool whole) {
  const auto rows = static_cast<int>(size.rows);
  const auto columns = static_cast<int>(size.columns);
  if (getmaxy(stdscr) != rows || getmaxx(stdscr) != columns) {
    ::resizeterm(rows, columns);
    whole = true;
  }
  ::werase(stdscr);
  for (size_t row = 0; row < screen.lines.size(); ++row) {
    ::wmove(stdscr, static_cast<int>(row), 0);
    for (const LivePiece& piece : screen.lines[row]) {
      const auto pair = static_cast<short>(state_->has_colours ? static_cast<int>(piece.style) + 1 : 0);
      ::wattr_set(stdscr, attributes_of(piece.style), pair, nullptr);
      ::waddnstr(stdscr, piece.text.data(), static_cast<int>(piece.text.size()));
    }
  }
  ::wattr_set(stdscr, A_NORMAL, 0, nullptr);
  if (whole) ::clearok(curscr, TRUE);
  ::wrefresh(stdscr);
  return take_bytes();
}

}  // namespace vmm
