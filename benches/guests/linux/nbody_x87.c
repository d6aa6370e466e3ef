/* N-body on the x87: what gcc makes of doubles for an i686. */
#define NBODY nbody_x87_workload
#define NBODY_NAME "nbody-x87"
#define NBODY_LACKS NULL
#include "nbody.h"
