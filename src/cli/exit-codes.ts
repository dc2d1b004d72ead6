/** The exit codes of the commands; 0 is success. */

/** Something went wrong that is neither of those below. */
export const EXIT_FAILURE = 1;
/** A command that was used wrongly (EX_USAGE of sysexits.h). */
export const EXIT_USAGE = 64;
/** A file that cannot be what it should be (EX_DATAERR). */
export const EXIT_DATA = 65;
/** A configuration that cannot be used (EX_CONFIG of sysexits.h). */
export const EXIT_CONFIG = 78;
/** What a shell reports of a process that a signal ended: 128 and the signal's number. */
export const EXIT_SIGNAL = { SIGINT: 130, SIGTERM: 143 };
