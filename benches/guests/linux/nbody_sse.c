/* N-body with scalar SSE2. */
#pragma GCC target("sse2,fpmath=sse")
#define NBODY nbody_sse_workload
#define NBODY_NAME "nbody-sse"
#define NBODY_LACKS lacks_sse2
#include "nbody.h"
