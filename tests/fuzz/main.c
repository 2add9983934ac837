/*
 * main.c
 *	  A plain fuzzer: every file of a corpus, then mutations of them.
 *
 *	fuzz CORPUS_DIRECTORY ROUNDS [SEED]
 *
 * What is about to be tried is kept in crash-input of the current directory,
 * so that an input that ends the program is left behind: put it into the
 * corpus.  The same seed makes the same inputs.
 */
#include "postgres_fe.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/pg_prng.h"

#include "targets.h"

#define INPUT_SIZE 512
#define MAX_FILES 1024

typedef struct Input
{
	uint8		data[INPUT_SIZE];
	size_t		size;
} Input;

static Input corpus[MAX_FILES];
static int	ncorpus = 0;
static Input *current;			/* mapped from crash-input */
static pg_prng_state prng;

static uint32
below(uint32 n)
{
	return pg_prng_uint64_range(&prng, 0, n - 1);
}

static void
try_input(const Input *input)
{
	uint8	   *exact = malloc(Max(input->size, 1));	/* reading past the end is seen */

	*current = *input;
	memcpy(exact, input->data, input->size);
	fuzz_one(exact, input->size);
	free(exact);
}

static void
read_corpus(const char *directory)
{
	DIR		   *dir = opendir(directory);
	struct dirent *entry;

	if (dir == NULL)
	{
		fprintf(stderr, "%s: %m\n", directory);
		exit(2);
	}
	while ((entry = readdir(dir)) != NULL && ncorpus < MAX_FILES)
	{
		char		path[MAXPGPATH];
		FILE	   *file;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		file = fopen(path, "rb");
		if (file == NULL)
			continue;
		corpus[ncorpus].size = fread(corpus[ncorpus].data, 1, INPUT_SIZE, file);
		ncorpus++;
		fclose(file);
	}
	closedir(dir);
}

/* Directories come in any order; a seed must not depend on it. */
static int
by_content(const void *a, const void *b)
{
	const Input *x = a;
	const Input *y = b;
	int			order = memcmp(x->data, y->data, Min(x->size, y->size));

	return order != 0 ? order : (x->size > y->size) - (x->size < y->size);
}

static void
mutate(Input *input)
{
	size_t		at = input->size > 0 ? below(input->size) : 0;
	size_t		length = input->size > at ? 1 + below(Min(input->size - at, 8)) : 0;

	switch (below(6))
	{
		case 0:					/* a byte becomes another */
			input->data[at] = below(256);
			input->size = Max(input->size, at + 1);
			break;
		case 1:					/* a bit flips */
			input->data[at] ^= 1 << below(8);
			input->size = Max(input->size, at + 1);
			break;
		case 2:					/* a piece goes */
			memmove(input->data + at, input->data + at + length, input->size - at - length);
			input->size -= length;
			break;
		case 3:					/* a piece comes twice */
			if (input->size + length > INPUT_SIZE)
				break;
			memmove(input->data + at + length, input->data + at, input->size - at);
			input->size += length;
			break;
		case 4:					/* the end is another input's */
			{
				const Input *other = &corpus[below(ncorpus)];

				if (at < other->size)
				{
					memcpy(input->data + at, other->data + at, other->size - at);
					input->size = other->size;
				}
				break;
			}
		default:				/* one of the bytes that mean something somewhere */
			{
				static const char special[] = "\0\n\xff\x80\xc3*.-+()[]{}\\^$|?/0123456789uUxXkK<=!:";

				input->data[at] = special[below(sizeof(special) - 1)];
				input->size = Max(input->size, at + 1);
			}
	}
}

static Input *
map_current(void)
{
	int			fd = open("crash-input", O_RDWR | O_CREAT | O_TRUNC, 0644);
	Input	   *mapped;

	if (fd < 0 || ftruncate(fd, sizeof(Input)) != 0 ||
		(mapped = mmap(NULL, sizeof(Input), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED)
	{
		fprintf(stderr, "crash-input: %m\n");
		exit(2);
	}
	close(fd);
	return mapped;
}

int
main(int argc, char **argv)
{
	long		rounds = argc > 2 ? atol(argv[2]) : 0;
	uint64		seed = argc > 3 ? strtoull(argv[3], NULL, 10) : (uint64) time(NULL);

	if (argc < 3)
	{
		fprintf(stderr, "usage: fuzz CORPUS_DIRECTORY ROUNDS [SEED]\n");
		return 2;
	}
	read_corpus(argv[1]);
	qsort(corpus, ncorpus, sizeof(Input), by_content);
	pg_prng_seed(&prng, seed);
	current = map_current();
	printf("# seed " UINT64_FORMAT ": an input that ends this program is left in crash-input\n", seed);
	for (int i = 0; i < ncorpus; i++)
		try_input(&corpus[i]);
	printf("%sok 1 - %d inputs of the corpus keep every promise\n", ncorpus > 0 ? "" : "not ", ncorpus);
	fflush(stdout);
	for (long i = 0; ncorpus > 0 && i < rounds; i++)
	{
		Input		input = corpus[below(ncorpus)];

		for (int n = 1 + below(6); n > 0; n--)
			mutate(&input);
		try_input(&input);
	}
	printf("ok 2 - so do %ld mutations of them\n1..2\n", rounds);
	unlink("crash-input");
	return ncorpus > 0 ? 0 : 1;
}
