/*
 * json_hash.h
 *	  SHA-256 of what a jsonb value says, not of how it was written.
 */
#ifndef TC_JSON_HASH_H
#define TC_JSON_HASH_H

/*
 * The hash (bytea, 32 bytes) of a jsonb value.  Equal values have equal hashes:
 * white space, the order of keys and trailing zeros of numbers (1 and 1.0) do
 * not matter.  It depends on no setting, version or machine.
 */
extern struct varlena *tc_json_hash(const struct varlena *json);

#endif							/* TC_JSON_HASH_H */
