// ncurses as what it is good at: the shortest way from what a terminal shows to what it should show. It draws
// into a file in memory; whoever has the terminal hands its bytes on (vmm/cli/terminal.h), and sets its
// modes. ncurses neither reads, nor waits, nor handles signals here.
//
// open() on the main thread, before the sandbox closes: it reads terminfo. The rest: one thread at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "vmm/live/draw.h"
#include "vmm/result.h"

namespace vmm {

class CursesScreen {
 public:
  // For the terminal that the environment names. A usage error if that can move no cursor.
  [[nodiscard]] static Result<std::unique_ptr<CursesScreen>> open();
  ~CursesScreen();
  CursesScreen(const CursesScreen&) = delete;
  CursesScreen& operator=(const CursesScreen&) = delete;

  // What takes a terminal (its other screen, no cursor) and what puts it back. They live as long as the
  // process.
  [[nodiscard]] std::string_view enter() const;
  [[nodiscard]] std::string_view leave() const;
  [[nodiscard]] const LiveGlyphs& glyphs() const;

  // The bytes that make a terminal of this size show these lines. `whole`: what it shows now is not known.
  [[nodiscard]] Result<std::string> render(const LiveScreen& screen, LiveSize size, bool whole);

 private:
  struct State;
  explicit CursesScreen(std::unique_ptr<State> state);
  Result<std::string> take_bytes();
  std::unique_ptr<State> state_;
};

}  // namespace vmm
