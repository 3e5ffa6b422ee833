#include "sieve.hpp"

#include <cstdlib>
#include <iostream>

int main(int argc, char **argv) {
  const auto limit = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 100;
  for (const auto prime : primes_up_to(limit)) std::cout << prime << '\n';
}
