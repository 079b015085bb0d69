// The abuse table: kvmux_abuse [--backend kvm|sim] [--seconds S] [--repeat N] [--policies LIST] …: what each
// kind of abuse costs an innocent VM under each policy. In a block a policy's machine runs once with a VM
// that computes and once with each kind of abuser; blocks take turns, so that a host's moods hit all.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>

#include "sched/base/text.h"
#include "sched/policy/parse.h"
#include "tests/abuse/contest.h"
#include "vmm/cli/table.h"
#include "vmm/kvm/system.h"

namespace {

using namespace abuse;
constexpr int kSkipped = 77;
constexpr int kBadInput = 2;

struct Flags {
  std::string backend = "kvm";
  double seconds = 0.5;
  uint32_t repeat = 9;
  std::string policies;
  std::vector<std::string> kinds;
  std::string innocent = "compute";
  Shape shape;
  std::string costs = "laptop-vmx";
  uint64_t seed = 1;
  bool check = false;
};

int parse(int argc, char** argv, Flags& flags) {
  CLI::App app{"what an abusing VM costs an innocent one of equal weight"};
  const std::vector<std::string> words(vmm::kAbuseWords.begin(), vmm::kAbuseWords.end());
  app.add_option("--backend", flags.backend, "kvm or sim")->check(CLI::IsMember({"kvm", "sim"}));
  app.add_option("--seconds", flags.seconds, "measured, each run")->check(CLI::Range(0.01, 3600.0));
  app.add_option("--repeat", flags.repeat, "blocks")->check(CLI::Range(1, 100'000));
  app.add_option("--policies", flags.policies, "as for kvmux compare; else all presets");
  app.add_option("--kinds", flags.kinds, "some of the kinds")->delimiter(',')->check(CLI::IsMember(words));
  app.add_option("--innocent", flags.innocent, "guest of the innocent VMs")
      ->check(CLI::IsMember({"compute", "lock", "ipi", "mixed"}));
  app.add_option("--workers", flags.shape.workers, "workers")->check(CLI::Range(1, 1024));
  app.add_option("--innocents", flags.shape.innocents, "innocent VMs")->check(CLI::Range(1, 1000));
  app.add_option("--vcpus", flags.shape.vcpus, "of each VM")->check(CLI::Range(1, 255));
  app.add_option("--cost-profile", flags.costs, "simulated: the host's costs");
  app.add_option("--seed", flags.seed, "of the first block");
  app.add_flag("--check", flags.check, "fail where the median is above the bound");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? -1 : kBadInput;
  }
  return 0;
}

std::string every_preset(bool simulated) {
  std::vector<std::string_view> names;
  for (const sched::Preset& preset : sched::presets()) {
    if (preset.name == "linux-6.19") continue;             // is yield
    if (simulated && preset.name == "host-kvm") continue;  // not modelled
    names.push_back(preset.name);
  }
  return sched::join(names, ";");
}

std::vector<kvmux_abuse> chosen_kinds(const Flags& flags) {
  std::vector<kvmux_abuse> chosen;
  for (const kvmux_abuse kind : kinds(flags.shape.vcpus)) {
    const auto& only = flags.kinds;
    if (only.empty() || std::find(only.begin(), only.end(), word_of(kind)) != only.end())
      chosen.push_back(kind);
  }
  return chosen;
}

// All blocks of a policy and a kind.
struct Cell {
  std::vector<double> time;
  std::vector<double> work;
  void add(const Loss& loss) {
    time.push_back(loss.time);
    work.push_back(loss.work);
  }
};
using Cells = std::map<std::pair<std::string, kvmux_abuse>, Cell>;

// One block of a policy.
vmm::Result<void> run_block(Contest contest, const std::vector<kvmux_abuse>& kinds, Cells& cells) {
  const auto calm = share_of_innocents(contest, false);
  if (!calm) return tl::unexpected(calm.error());
  for (const kvmux_abuse kind : kinds) {
    contest.kind = kind;
    const auto abused = share_of_innocents(contest, true);
    if (!abused) return tl::unexpected(abused.error());
    cells[{contest.policy, kind}].add(loss_between(*calm, *abused));
  }
  return {};
}

std::string percent(double share) { return fmt::format("{:.1f}", 100 * share + 0.0); }

// "0.4 (−1.2 … 3.0)": the median, and the middle half of the blocks.
std::string cell_text(std::vector<double> values) {
  const double middle = median(values);
  if (values.size() < 4) return percent(middle);
  std::sort(values.begin(), values.end());
  return fmt::format("{} ({} … {})", percent(middle), percent(values[values.size() / 4]),
                     percent(values[values.size() * 3 / 4]));
}

void print_table(const char* title, const std::vector<std::string>& policies,
                 const std::vector<kvmux_abuse>& kinds, const Cells& cells, std::vector<double> Cell::*of) {
  std::vector<std::string> titles{"<policy"};
  for (const kvmux_abuse kind : kinds) titles.emplace_back(word_of(kind));
  vmm::Table table(titles);
  for (const std::string& policy : policies) {
    std::vector<std::string> row{policy};
    for (const kvmux_abuse kind : kinds) row.push_back(cell_text(cells.at({policy, kind}).*of));
    table.add(row);
  }
  std::printf("\n%s\n\n%s", title, table.markdown().c_str());
}

// Exit status: 1 if a bound that was asked for does not hold.
int judge(const Flags& flags, const Cells& cells) {
  int status = 0;
  for (const auto& [key, cell] : cells) {
    const double lost = median(cell.time);
    if (!flags.check || lost <= kBound) continue;
    std::printf("\nabove the bound of %s %%: %s under %s costs %s %%\n", percent(kBound).c_str(),
                std::string{word_of(key.second)}.c_str(), key.first.c_str(), percent(lost).c_str());
    status = 1;
  }
  return status;
}

int measure_all(const Flags& flags, const std::vector<std::string>& policies) {
  const std::vector<kvmux_abuse> kinds = chosen_kinds(flags);
  Cells cells;
  for (uint32_t block = 0; block < flags.repeat; ++block) {
    for (const std::string& policy : policies) {
      Contest contest{.backend = flags.backend == "sim" ? vmm::Backend::kSim : vmm::Backend::kKvm,
                      .policy = policy,
                      .shape = flags.shape,
                      .innocent = flags.innocent,
                      .window = vmm::Nanos{static_cast<int64_t>(flags.seconds * 1e9)},
                      .seed = flags.seed + block,
                      .costs = flags.costs};
      if (const auto ran = run_block(std::move(contest), kinds, cells); !ran) {
        std::fprintf(stderr, "kvmux_abuse: %s\n", ran.error().text().c_str());
        return vmm::exit_status(ran.error().kind);
      }
    }
  }
  std::printf("%s, %s beside an abuser, %s, %u blocks of %g s\n", flags.backend.c_str(),
              flags.innocent.c_str(), flags.shape.text().c_str(), flags.repeat, flags.seconds);
  print_table("CPU time lost, % of a fair share", policies, kinds, cells, &Cell::time);
  print_table("Work lost, % of that beside a VM that computes", policies, kinds, cells, &Cell::work);
  return judge(flags, cells);
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  if (const int status = parse(argc, argv, flags); status != 0) return std::max(status, 0);
  if (flags.policies.empty()) flags.policies = every_preset(flags.backend == "sim");
  const auto policies = sched::parse_policy_list(flags.policies);
  if (!policies) {
    std::fprintf(stderr, "kvmux_abuse: --policies: %s\n", policies.error().c_str());
    return kBadInput;
  }
  const auto system = vmm::System::open();
  if (flags.backend == "kvm" && (!system || !system->capabilities().check_required())) {
    std::printf("SKIP abuse: %s\n", system ? system->capabilities().check_required().error().text().c_str()
                                           : system.error().text().c_str());
    return kSkipped;
  }
  std::vector<std::string> names;
  for (const sched::Policy& policy : *policies) names.push_back(policy.name);
  return measure_all(flags, names);
}
