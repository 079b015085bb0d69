#include "vmm/sandbox/policy.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "vmm/kvm/ioctl_numbers.h"

// Newer than some headers that kvmux is built with; numbers never change.
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

namespace vmm::sandbox {
namespace {

constexpr Kinds kMain = only(ThreadKind::kMain);
constexpr Kinds kVcpus = only(ThreadKind::kWorker) | only(ThreadKind::kHostThread);
constexpr Kinds kDevice = only(ThreadKind::kDevice);
constexpr Kinds kWriter = only(ThreadKind::kWriter);
constexpr Kinds kWatch = only(ThreadKind::kWatch);
constexpr Kinds kView = only(ThreadKind::kView);
constexpr Kinds kAll = kMain | kVcpus | kDevice | kWriter | kWatch | kView | only(ThreadKind::kLoader);
constexpr Kinds kNotMain = kAll & ~kMain;
constexpr Kinds kEvents = kMain | kVcpus | kDevice;  // those that wait for something

using enum Condition;

constexpr SyscallRule kSyscalls[] = {
    // ioctl stands first: every KVM_RUN passes through these rows. Main's is unconditional so that the kernel
    // can answer it from its bitmap: the filter of the main thread is in force on its workers as well.
    {SYS_ioctl, kVcpus | kDevice | only(ThreadKind::kLoader) | kWriter | kWatch | kView, kOfTable,
     "see ioctls()"},
    {SYS_ioctl, kMain, kAlways, "creates VMs and vCPUs, sets the terminal"},

    // Every thread: memory, locks, clocks, signals of its own, its end.
    {SYS_futex, kAll, kAlways, "locks"},
    {SYS_futex_waitv, kAll, kAlways, "locks"},
    {SYS_mmap, kAll, kNotExecutable, "the allocator"},
    {SYS_mprotect, kAll, kNotExecutable, "the allocator"},
    {SYS_munmap, kAll, kAlways, "the allocator"},
    {SYS_mremap, kAll, kAlways, "the allocator"},
    {SYS_madvise, kAll, kAlways, "the allocator; stacks of threads that ended"},
    {SYS_brk, kAll, kAlways, "the allocator"},
    {SYS_getrandom, kAll, kAlways, "the allocator's and hash tables' seeds"},
    {SYS_membarrier, kAll, kAlways, "the C library"},
    {SYS_clock_gettime, kAll, kAlways, "clocks; a thread's CPU time is a system call"},
    {SYS_gettimeofday, kAll, kAlways, "where the vDSO has no clock"},
    {SYS_time, kAll, kAlways, "where the vDSO has no clock"},
    {SYS_getcpu, kAll, kAlways, "where the vDSO does not tell"},
    {SYS_clock_nanosleep, kAll, kAlways, "sleeping"},
    {SYS_nanosleep, kAll, kAlways, "sleeping"},
    {SYS_sched_yield, kAll, kAlways, "host-yield; spinning locks"},
    {SYS_sched_getaffinity, kAll, kAlways, "how many CPUs there are"},
    {SYS_gettid, kAll, kAlways, "raise()"},
    {SYS_getpid, kAll, kAlways, "raise()"},
    {SYS_tgkill, kAll, kOwnProcess, "kicks; abort()"},
    {SYS_rt_sigprocmask, kAll, kAlways, "the C library, around the start and end of threads"},
    {SYS_rt_sigreturn, kAll, kAlways, "the end of a signal's handler"},
    {SYS_restart_syscall, kAll, kAlways, "a wait that a stop interrupted"},
    {SYS_write, kAll, kAlways, "eventfds, consoles, a last message"},
    {SYS_pwritev2, kAll, kAlways, "a last message, without waiting"},
    {SYS_set_robust_list, kAll, kAlways, "the C library, at a thread's start"},
    {SYS_rseq, kAll, kAlways, "the C library, at a thread's start"},
    {SYS_exit, kAll, kAlways, "the end of a thread"},
    {SYS_exit_group, kAll, kAlways, "the end of the process"},
    {SYS_getrusage, kAll, kAlways, "what a thread had of the host"},
    // A thread with a wider filter has narrower ones put on top of it.
    {SYS_seccomp, kMain, kAlways, "the filters of the threads that it starts"},
    {SYS_prctl, kMain, kAlways, "names of threads; no new privileges"},

    // Threads that wait for events.
    {SYS_read, kEvents | kView, kAlways, "eventfds, timers, what is typed"},
    {SYS_writev, kEvents, kAlways, "consoles"},
    {SYS_poll, kAll, kAlways, "waiting for descriptors; a last message"},
    {SYS_ppoll, kEvents, kAlways, "waiting for descriptors"},
    {SYS_epoll_wait, kEvents, kAlways, "waiting where io_uring is forbidden"},
    {SYS_epoll_pwait, kEvents, kAlways, "waiting where io_uring is forbidden"},
    {SYS_epoll_pwait2, kEvents, kAlways, "waiting where io_uring is forbidden"},
    {SYS_epoll_ctl, kEvents, kAlways, "waiting where io_uring is forbidden"},
    {SYS_timerfd_settime, kEvents, kAlways, "a deadline among the descriptors"},
    {SYS_io_uring_enter, kMain | kVcpus | kDevice, kAlways,
     "a worker's ring, which was restricted to waiting and waking before"},
    {SYS_timer_settime, kMain | kVcpus | kDevice, kAlways, "the end of a turn"},
    {SYS_timer_delete, kMain | kVcpus, kAlways, "the end of a worker"},
    {SYS_sched_setaffinity, kMain | kVcpus, kAlways, "workers move on by one CPU"},
    {SYS_pread64, kMain | kVcpus | kWatch | kView, kAlways,
     "the host's figures about a thread, from a file that is open; what is to be drawn"},
    {SYS_lseek, kMain | kVcpus | kView, kAlways, "the same"},
    {SYS_close, kMain | kVcpus | kDevice | kWriter, kAlways, "descriptors of what ends"},
    {SYS_fcntl, kMain | kDevice, kAlways, "whether a descriptor blocks"},
    {SYS_fstat, kMain | kDevice, kAlways, "what a descriptor is"},
    {SYS_newfstatat, kMain, kAlways, "what a file is"},
    {SYS_rt_sigaction, kMain | kDevice, kAlways, "signals while the terminal is a guest's"},
    {SYS_rt_sigtimedwait, kMain | kDevice, kAlways, "signals"},
    {SYS_rt_sigsuspend, kMain | kDevice, kAlways, "signals"},
    {SYS_sigaltstack, kMain | kDevice, kAlways, "signals after a stack's overflow"},
    {SYS_kill, kMain | kDevice, kOwnProcess, "stops itself at Ctrl-Z"},

    // Main alone: files (Landlock says which), threads, set-up.
    {SYS_open, kMain, kAlways, "results, /dev/kvm, /proc; which files, Landlock says"},
    {SYS_openat, kMain, kAlways, "results, /dev/kvm, /proc; which files, Landlock says"},
    {SYS_openat, kNotMain, kAnswerNoAccess,
     "refused; the C library's allocator looks into /proc/sys/vm when it gives memory back, and can do "
     "without"},
    {SYS_access, kMain, kAlways, "whether a file is there"},
    {SYS_faccessat, kMain, kAlways, "whether a file is there"},
    {SYS_faccessat2, kMain, kAlways, "whether a file is there"},
    {SYS_stat, kMain, kAlways, "what a file is"},
    {SYS_lstat, kMain, kAlways, "what a file is"},
    {SYS_statx, kMain, kAlways, "what a file is"},
    {SYS_readlink, kMain, kAlways, "the C++ library's files"},
    {SYS_getdents64, kMain, kAlways, "/proc/self/task"},
    {SYS_getcwd, kMain, kAlways, "names in messages"},
    {SYS_ftruncate, kMain | kView, kAlways, "results: a half-written last line; what has been drawn"},
    {SYS_flock, kMain, kAlways, "results: one writer"},
    {SYS_fsync, kMain, kAlways, "results"},
    {SYS_fdatasync, kMain, kAlways, "results"},
    {SYS_readv, kMain, kAlways, "files"},
    {SYS_pipe2, kMain, kAlways, "waking a thread"},
    {SYS_eventfd2, kMain, kAlways, "waking a thread"},
    {SYS_epoll_create1, kMain, kAlways, "waiting where io_uring is forbidden"},
    {SYS_timerfd_create, kMain, kAlways, "a deadline among the descriptors"},
    {SYS_signalfd4, kMain, kAlways, "signals among the descriptors"},
    {SYS_timer_create, kMain, kAlways, "a worker's timer, before its own filter"},
    {SYS_timer_gettime, kMain, kAlways, "timers"},
    {SYS_timer_getoverrun, kMain, kAlways, "timers"},
    {SYS_io_uring_setup, kMain, kAlways, "a worker's ring, before its own filter"},
    {SYS_io_uring_register, kMain, kAlways, "a worker's ring, before its own filter"},
    {SYS_clone, kMain, kThread, "threads; never a process"},
    {SYS_clone3, kMain, kAnswerNoSuchCall, "its flags are behind a pointer, where a filter cannot look"},
    {SYS_landlock_create_ruleset, kMain, kAlways, "files of the threads that it starts"},
    {SYS_landlock_add_rule, kMain, kAlways, "files of the threads that it starts"},
    {SYS_landlock_restrict_self, kMain, kAlways, "files of the threads that it starts"},
    {SYS_prlimit64, kMain, kAlways, "limits of descriptors and stacks"},
    {SYS_getrlimit, kMain, kAlways, "limits of descriptors and stacks"},
    {SYS_sysinfo, kMain, kAlways, "how much memory there is"},
    {SYS_uname, kMain, kAlways, "the kernel's version"},
    {SYS_getuid, kMain, kAlways, "the C library"},
    {SYS_geteuid, kMain, kAlways, "the C library"},
    {SYS_getgid, kMain, kAlways, "the C library"},
    {SYS_getegid, kMain, kAlways, "the C library"},
    {SYS_getpgrp, kAll, kAlways, "job control"},
};

constexpr Kinds kBoards = kVcpus | kDevice;  // those on which a device's pin may change

// <asm/termbits.h>: TCGETS2, TCSETS2, TCSETSW2 and TCSETSF2, which newer C libraries use; the header clashes
// with <termios.h>.
constexpr uint32_t kTerminal2[] = {0x802c542a, 0x402c542b, 0x402c542c, 0x402c542d};
constexpr uint32_t request(unsigned long number) { return static_cast<uint32_t>(number); }

constexpr IoctlRule kIoctls[] = {
    {request(KVM_RUN), kVcpus, "the guest runs"},
    {request(KVM_INTERRUPT), kVcpus, "an interrupt of the 8259s beside KVM's LAPIC"},
    {request(KVM_GET_REGS), kBoards, "registers that KVM did not write out; a guest that has fallen silent"},
    {request(KVM_GET_SREGS), kBoards, "registers that KVM did not write out; a guest that has fallen silent"},
    {request(KVM_SIGNAL_MSI), kBoards, "an interrupt for KVM's LAPICs"},
    {request(kKvmSetGsiRouting), kBoards, "the IOAPIC's entries, which KVM must know for their EOIs"},
    {request(KVM_IRQ_LINE), kBoards, "a pin of the IOAPIC"},
    {request(KVM_GET_FPU), kVcpus, "FWAIT, completed here"},
    {request(KVM_GET_XCRS), kVcpus, "XGETBV, completed here"},
    {request(KVM_GET_DEVICE_ATTR), kVcpus, "the TSC's offset, which a guest may change"},
    {request(KVM_SET_DEVICE_ATTR), kVcpus, "the TSC's offset, which a guest may change"},
    {request(kKvmGetMsrs), kBoards, "the TSC and its adjustment; a guest that has fallen silent"},
    {request(kKvmSetMsrs), kVcpus, "the TSC and its adjustment"},
    {request(KVM_GET_VCPU_EVENTS), kBoards,
     "events that KVM did not write out; a guest that has fallen silent"},
    {request(KVM_GET_MP_STATE), kDevice, "a guest that has fallen silent"},
    {request(KVM_GET_LAPIC), kDevice, "a guest that has fallen silent"},
    {request(KVM_NMI), kBoards, "an NMI for KVM's LAPICs"},

#define PUT_BACK "the terminal is put back whichever thread fails"
    {TCGETS, kAll, PUT_BACK},
    {TCFLSH, kAll, PUT_BACK},
    {TIOCGPGRP, kAll, PUT_BACK},
    {TCSETS, kAll, PUT_BACK},
    {TCSETSW, kAll, PUT_BACK},
    {TCSETSF, kAll, PUT_BACK},
    {kTerminal2[0], kAll, PUT_BACK},
    {kTerminal2[1], kAll, PUT_BACK},
    {kTerminal2[2], kAll, PUT_BACK},
    {kTerminal2[3], kAll, PUT_BACK},
#undef PUT_BACK
    {TIOCGWINSZ, kDevice | kView, "how wide the terminal is"},
};

}  // namespace

std::span<const SyscallRule> syscalls() { return kSyscalls; }
std::span<const IoctlRule> ioctls() { return kIoctls; }

}  // namespace vmm::sandbox
