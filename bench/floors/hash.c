/* SHA-256 of 65-byte messages (a Merkle node) on one core, in hashes a second. The one-shot SHA256() of OpenSSL 3 looks the
   algorithm up each time, five times slower; so: the three calls. */
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(void) {
  const int times = 8 << 20;
  unsigned char message[65], out[32];
  SHA256_CTX context;
  memset(message, 7, sizeof message);
  double started = now();
  for (int i = 0; i < times; i++) {
    SHA256_Init(&context);
    SHA256_Update(&context, message, sizeof message);
    SHA256_Final(out, &context);
    memcpy(message + 1, out, sizeof out); /* each needs the one before: none can be left out */
  }
  printf("%.0f\n", times / (now() - started));
  return 0;
}
