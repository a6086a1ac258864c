/* Prints what pycore_opcode_metadata.h (3.13+) says each opcode pops and pushes: "opcode oparg popped pushed". */

#define Py_BUILD_CORE 1
#define NEED_OPCODE_METADATA
#include "Python.h"
#include "internal/pycore_opcode_metadata.h"

#include <stdio.h>

int
main(void)
{
    static const int opargs[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 31, 255, 256, 511, 513, 4096, 65535};
    for (int opcode = 0; opcode < 256; opcode++) {
        for (size_t i = 0; i < sizeof(opargs) / sizeof(*opargs); i++) {
            int popped = _PyOpcode_num_popped(opcode, opargs[i]);
            int pushed = _PyOpcode_num_pushed(opcode, opargs[i]);
            if (popped >= 0 && pushed >= 0) {
                printf("%d %d %d %d\n", opcode, opargs[i], popped, pushed);
            }
        }
    }
    return 0;
}
