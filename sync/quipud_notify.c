/* SPDX-License-Identifier: MIT */
/* quipud_notify.c: the supervisor is systemd, or who speaks its protocol. Alone here libsystemd is known. Nothing is
 * done about errors: the agent is as useful to hosts when nobody listens. */
#include "quipud_notify.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

uint64_t qp_quipud_notify_watchdog_ms(void)
{
    uint64_t period_us;
    /* Twice in its period, so that one that comes late is not a failure. */
    return sd_watchdog_enabled(0, &period_us) > 0 ? period_us / 2000 + (period_us < 2000) : 0;
}

void qp_quipud_notify_alive(void)
{
    sd_notify(0, "WATCHDOG=1");
}

void qp_quipud_notify_ready(const char *status)
{
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void qp_quipud_notify_reloading(uint64_t monotonic_us)
{
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, monotonic_us);
}

void qp_quipud_notify_stopping(void)
{
    sd_notify(0, "STOPPING=1");
}

void qp_quipud_notify_status(const char *status)
{
    sd_notifyf(0, "STATUS=%s", status);
}
