#include "vmm/result.h"

#include <doctest/doctest.h>

#include <cerrno>

using namespace vmm;

TEST_CASE("an error's text names place, operation, errno and advice") {
  const Error error = host_error("KVM_CREATE_VCPU", EMFILE, "raise the limit").value();
  CHECK(error.text() == "KVM_CREATE_VCPU: Too many open files (EMFILE): raise the limit");
  CHECK(error.in(VmId{2}).text() == "vm2: KVM_CREATE_VCPU: Too many open files (EMFILE): raise the limit");
  CHECK(error.in(VmId{2}, VcpuIndex{7}).text().starts_with("vm2/vcpu7: KVM_CREATE_VCPU"));
  CHECK(!error.vm);
}

TEST_CASE("parts that are not there leave nothing behind") {
  CHECK(usage_error("--vcpus 0", "a VM has 1 to 1024").value().text() == "--vcpus 0: a VM has 1 to 1024");
  CHECK(host_error("KVM_RUN", EFAULT).value().text() == "KVM_RUN: Bad address (EFAULT)");
  CHECK(host_error("KVM_RUN", 9999).value().text() == "KVM_RUN: errno 9999");
}

TEST_CASE("each kind of error has its exit status") {
  CHECK(exit_status(usage_error("", "").value().kind) == 2);
  CHECK(exit_status(host_error("", 0).value().kind) == 3);
  CHECK(exit_status(guest_error("", "").value().kind) == 1);
}
