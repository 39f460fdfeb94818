/* Stands in for Zephyr's header. */
#pragma once
