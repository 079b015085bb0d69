// Standings as a picture, a row a machine and a column a guest, and the cells that were lost as a table.
// Pure, any thread.
#pragma once

#include <span>
#include <string>

#include "vmm/cli/report.h"
#include "vmm/stats/standing.h"

namespace vmm {

struct HeatmapOptions {
  StandingOptions standing;
  double margin = 0;  // a ratio below 1 - margin is a loss
  std::string title;  // empty: made of the others
};

// An SVG that needs nothing beside itself: no fonts, no scripts; it follows the reader's light or dark
// scheme.
std::string heatmap_svg(std::span<const Standing> standings, const HeatmapOptions& options);

// How many cells there are and how many are lost; the lost ones, worst first, with the policy that wins them.
std::string heatmap_text(std::span<const Standing> standings, const HeatmapOptions& options,
                         ReportStyle style);

}  // namespace vmm
