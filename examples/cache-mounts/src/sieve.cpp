#include "sieve.hpp"

std::vector<std::size_t> primes_up_to(std::size_t limit) {
  std::vector<bool> composite(limit + 1);
  std::vector<std::size_t> primes;
  for (std::size_t n = 2; n <= limit; n++) {
    if (composite[n]) continue;
    primes.push_back(n);
    for (std::size_t multiple = n * n; multiple <= limit; multiple += n) composite[multiple] = true;
  }
  return primes;
}
