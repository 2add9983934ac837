/*
 * targets.h
 *	  What is fuzzed: one input.
 */
#ifndef TC_FUZZ_TARGETS_H
#define TC_FUZZ_TARGETS_H

extern void fuzz_one(const uint8 *data, size_t size);
extern int	LLVMFuzzerTestOneInput(const uint8 *data, size_t size);

#endif							/* TC_FUZZ_TARGETS_H */
