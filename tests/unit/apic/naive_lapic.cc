// The naive model's time and interrupts.
#include "naive_lapic.h"

namespace apic_test {
namespace {

constexpr std::uint32_t kLvts[] = {0x2f0, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370};
constexpr std::uint32_t kTimerLvt = 0x320, kLint0 = 0x350, kLint1 = 0x360, kErrorLvt = 0x370;

}  // namespace

std::uint64_t naive_divisor(std::uint32_t dcr) {
  static const std::map<std::uint32_t, std::uint64_t> kDivisors = {
      {0x0, 2}, {0x1, 4}, {0x2, 8}, {0x3, 16}, {0x8, 32}, {0x9, 64}, {0xa, 128}, {0xb, 1}};
  return kDivisors.at(dcr);
}

NaiveLapic::NaiveLapic(std::uint32_t id) : id_(id) { reset(); }

void NaiveLapic::reset() {
  registers_.clear();
  registers_[0xe0] = 0xffffffff;
  registers_[0xf0] = 0xff;
  for (std::uint32_t lvt : kLvts) registers_[lvt] = 0x10000;
  command_destination_ = 0;
  forget_requests();
  left_ = deadline_ = 0;
}

void NaiveLapic::forget_requests() {
  requested_.clear();
  level_.clear();
  in_service_.clear();
  level_in_service_.clear();
  errors_ = 0;
  registers_[kLint0] &= ~0x4000u;
}

void NaiveLapic::power_up() {
  base_ = 0xfee00800;
  line_[0] = line_[1] = false;
  nmis_ = 0;
  init_ = false;
  sipi_ = -1;
  reset();
}

int NaiveLapic::mode() { return !(base_ & 0x800) ? 0 : base_ & 0x400 ? 2 : 1; }

// ---- Time ---------------------------------------------------------------------------------------------

void NaiveLapic::pass(std::uint64_t ns) {
  tsc_ += 2 * ns;
  while (left_ > 0 && ns >= left_) {
    ns -= left_;
    const bool periodic = (registers_[kTimerLvt] >> 17 & 3) == 1;
    left_ = periodic ? registers_[0x380] * naive_divisor(registers_[0x3e0]) : 0;
    raise(kTimerLvt);
  }
  if (left_ > 0) left_ -= ns;
  timer_expires();
}

void NaiveLapic::tsc_jumps(std::uint64_t to) {
  tsc_ = to;
  timer_expires();
}

void NaiveLapic::timer_expires() {
  if (deadline_ == 0 || tsc_ < deadline_) return;
  deadline_ = 0;
  raise(kTimerLvt);
}

bool NaiveLapic::timer_can_interrupt() {
  return (left_ > 0 || deadline_ > 0) && !(registers_[kTimerLvt] & 0x10000);
}

// ---- Interrupts ---------------------------------------------------------------------------------------

void NaiveLapic::post(int vector, bool level) {
  if (!software_enabled()) return;
  if (vector < 16) return error(0x40);
  const bool merges = requested_.count(vector) > 0;
  requested_.insert(vector);
  if (level) level_.insert(vector);
  if (!level && !merges) level_.erase(vector);
}

void NaiveLapic::error(std::uint32_t bit) {
  const bool armed = errors_ == 0;
  errors_ |= bit;
  if (armed) raise(kErrorLvt);
}

void NaiveLapic::raise(std::uint32_t offset) {
  const std::uint32_t entry = registers_[offset];
  if (mode() == 0 || (entry & 0x10000)) return;
  if (offset == 0x340) registers_[offset] |= 0x10000;
  const std::uint32_t delivery = entry >> 8 & 7;
  const int vector = static_cast<int>(entry & 0xff);
  const bool level = offset == kLint0 && (entry & 0x8000);
  if (delivery == 0) {
    post(vector, level);
    if (level && vector >= 16) {
      registers_[offset] |= 0x4000;
      lint0_accepted_ = vector;
    }
  }
  if (delivery == 4) nmi();
  if (delivery == 5 && (offset == kLint0 || offset == kLint1)) init();
}

void NaiveLapic::nmi() {
  if (nmis_ < 2) ++nmis_;
}

void NaiveLapic::init() {
  init_ = true;
  sipi_ = -1;
  nmis_ = 0;
}

void NaiveLapic::sipi(int vector) {
  if (sipi_ < 0) sipi_ = vector;
}

void NaiveLapic::lint(int pin, bool asserted) {
  const bool rise = asserted && !line_[pin];
  line_[pin] = asserted;
  const std::uint32_t offset = pin == 0 ? kLint0 : kLint1;
  const std::uint32_t entry = registers_[offset];
  const bool level = pin == 0 && (entry & 0x8000) && (entry >> 8 & 7) == 0;
  if (level) return check_lint0();
  if (rise) raise(offset);
}

void NaiveLapic::check_lint0() {
  const std::uint32_t entry = registers_[kLint0];
  const bool level = (entry & 0x8000) && (entry >> 8 & 7) == 0;
  if (line_[0] && level && !(entry & 0x4000)) raise(kLint0);
}

bool NaiveLapic::extint() {
  if (mode() == 0) return true;
  return (registers_[kLint0] & 0x10700) == 0x700;
}

std::uint32_t NaiveLapic::ppr() {
  const std::uint32_t tpr = registers_[0x80];
  const int top = highest_in_service();
  const std::uint32_t isrv = top < 0 ? 0 : static_cast<std::uint32_t>(top);
  return tpr / 16 >= isrv / 16 ? tpr : isrv / 16 * 16;
}

int NaiveLapic::pending() {
  if (mode() == 0 || requested_.empty()) return -1;
  const int top = *requested_.rbegin();
  return top / 16 > static_cast<int>(ppr()) / 16 ? top : -1;
}

int NaiveLapic::accept() {
  const int vector = pending();
  if (vector < 0) return static_cast<int>(registers_[0xf0] & 0xff);
  requested_.erase(vector);
  in_service_.insert(vector);
  level_in_service_.erase(vector);
  if (level_.count(vector)) level_in_service_.insert(vector);
  return vector;
}

int NaiveLapic::take_nmis() {
  const int taken = nmis_;
  nmis_ = 0;
  return taken;
}

std::pair<bool, int> NaiveLapic::take_startup(bool waiting) {
  const std::pair<bool, int> events{init_, init_ || waiting ? sipi_ : -1};
  if (init_) reset();
  init_ = false;
  sipi_ = -1;
  return events;
}

void NaiveLapic::set_cr8(std::uint32_t cr8) {
  if (registers_[0x80] / 16 != cr8) registers_[0x80] = cr8 * 16;
}

}  // namespace apic_test
