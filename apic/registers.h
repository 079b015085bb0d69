// The local APIC's registers, named as in the SDM ("Local APIC Register Map"), and the fields of those that
// have any. Constants only.
#pragma once

#include <cstdint>

namespace apic {

// The value is the xAPIC offset; in x2APIC mode the register is MSR 800H + offset / 16.
enum class Reg : std::uint16_t {
  kId = 0x020,            // local APIC id: bits 31:24 in xAPIC mode, all 32 in x2APIC mode
  kVersion = 0x030,       // version, number of LVT entries, EOI-broadcast suppression
  kTpr = 0x080,           // task priority
  kApr = 0x090,           // arbitration priority; not in x2APIC mode
  kPpr = 0x0a0,           // processor priority
  kEoi = 0x0b0,           // end of interrupt, write-only
  kRrd = 0x0c0,           // remote read; not implemented since the P6, reads 0
  kLdr = 0x0d0,           // logical destination; read-only in x2APIC mode
  kDfr = 0x0e0,           // destination format; not in x2APIC mode
  kSvr = 0x0f0,           // spurious-interrupt vector, software enable
  kIsr0 = 0x100,          // in service, 8 registers of 32 vectors
  kTmr0 = 0x180,          // trigger mode, 8 registers
  kIrr0 = 0x200,          // interrupt request, 8 registers
  kEsr = 0x280,           // error status
  kLvtCmci = 0x2f0,       // corrected machine check
  kIcrLow = 0x300,        // interrupt command; in x2APIC mode the only one, 64 bits wide
  kIcrHigh = 0x310,       // its destination; not in x2APIC mode
  kLvtTimer = 0x320,      //
  kLvtThermal = 0x330,    //
  kLvtPmc = 0x340,        // performance counters
  kLvtLint0 = 0x350,      //
  kLvtLint1 = 0x360,      //
  kLvtError = 0x370,      //
  kInitialCount = 0x380,  // of the timer
  kCurrentCount = 0x390,  // of the timer, read-only
  kDcr = 0x3e0,           // divide configuration of the timer
  kSelfIpi = 0x3f0,       // x2APIC mode only, write-only
};

constexpr std::uint32_t kX2apicMsrFirst = 0x800;
constexpr std::uint32_t kX2apicMsrLast = 0x8ff;
constexpr std::uint32_t kMsrApicBase = 0x1b;
constexpr std::uint32_t kMsrTscDeadline = 0x6e0;

// IA32_APIC_BASE.
constexpr std::uint64_t kApicBaseBsp = 1u << 8;
constexpr std::uint64_t kApicBaseX2apic = 1u << 10;  // EXTD
constexpr std::uint64_t kApicBaseEnable = 1u << 11;  // EN
constexpr std::uint64_t kApicBaseAddressMask = ~std::uint64_t{0xfff};
constexpr std::uint64_t kApicDefaultAddress = 0xfee00000;
constexpr std::uint64_t kApicPageSize = 0x1000;

// Version register: an integrated APIC (14H) with 7 LVT entries (maximum index 6) and SVR bit 12.
constexpr std::uint32_t kVersionValue = 0x14 | 6u << 16 | 1u << 24;

// SVR.
constexpr std::uint32_t kSvrEnable = 1u << 8;
constexpr std::uint32_t kSvrSuppressEoiBroadcast = 1u << 12;

// ESR. Bits 0 to 3 belong to the P6's serial bus; bit 4 to APICs that cannot send lowest-priority IPIs.
constexpr std::uint32_t kEsrSendIllegalVector = 1u << 5;
constexpr std::uint32_t kEsrReceiveIllegalVector = 1u << 6;
constexpr std::uint32_t kEsrIllegalRegister = 1u << 7;  // xAPIC only

// ICR (low half).
constexpr std::uint32_t kIcrLogical = 1u << 11;
constexpr std::uint32_t kIcrAssert = 1u << 14;
constexpr std::uint32_t kIcrLevelTriggered = 1u << 15;

// LVT entries.
enum class Lvt : std::uint8_t { kCmci, kTimer, kThermal, kPmc, kLint0, kLint1, kError };
constexpr unsigned kLvtCount = 7;
constexpr std::uint32_t kLvtRemoteIrr = 1u << 14;
constexpr std::uint32_t kLvtLevelTriggered = 1u << 15;
constexpr std::uint32_t kLvtMasked = 1u << 16;

// The delivery mode, in the same place in ICR, LVT and redirection entries.
constexpr std::uint32_t kDeliveryShift = 8;
constexpr std::uint32_t kDeliveryMask = 7;

}  // namespace apic
