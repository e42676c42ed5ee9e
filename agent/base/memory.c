/* Start-up and a job touch most of every library once (relocation, the journal's check, X.509). Their pages mirror a
 * file and come back from the page cache, so a daemon that waits for months need not count them as its own. */
#include "agent/base/memory.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Relocation wrote into the code itself: what is dropped would come back without it. */
static bool has_text_relocation(const struct dl_phdr_info *object)
{
        for (size_t i = 0; i < object->dlpi_phnum; i++) {
                if (object->dlpi_phdr[i].p_type != PT_DYNAMIC)
                        continue;
                const ElfW(Dyn) *d = (const void *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
                for (; d->d_tag != DT_NULL; d++)
                        if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL)))
                                return true;
        }
        return false;
}

/* Only segments that are never writable (elf(5)): relocation and the program's own data stand in the others. */
static int drop_clean(struct dl_phdr_info *object, size_t size, void *arg)
{
        const uintptr_t page = *(const uintptr_t *)arg;
        (void)size;
        for (size_t i = 0; !has_text_relocation(object) && i < object->dlpi_phnum; i++) {
                const ElfW(Phdr) *h = &object->dlpi_phdr[i];
                if (h->p_type != PT_LOAD || (h->p_flags & PF_W))
                        continue;
                uintptr_t from = (object->dlpi_addr + h->p_vaddr) & ~(page - 1);
                uintptr_t to = (object->dlpi_addr + h->p_vaddr + h->p_memsz + page - 1) & ~(page - 1);
                (void)madvise((void *)from, to - from, MADV_DONTNEED); /* a refusal costs only the saving */
        }
        return 0;
}

void memory_give_back(void)
{
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
        (void)malloc_trim(0);
        (void)dl_iterate_phdr(drop_clean, &page);
}
