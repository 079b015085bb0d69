/* A freestanding compiler may call these on its own (GCC manual, "Standards"). */
#include <stddef.h>

void* memcpy(void* to, const void* from, size_t count);
void* memset(void* to, int value, size_t count);

void* memcpy(void* to, const void* from, size_t count) {
  void* at = to;
  __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(count) : : "memory");
  return to;
}

void* memset(void* to, int value, size_t count) {
  void* at = to;
  __asm__ volatile("rep stosb" : "+D"(at), "+c"(count) : "a"(value) : "memory");
  return to;
}
