/* The baseline of the calibration: twice as slow as serving takes. */
#define PACE_PERCENT 100
#include "paced.h"
