# SPDX-License-Identifier: GPL-2.0-or-later
"""Names of the registered numbers that flows and reports use; a number without a name stays a number."""

from __future__ import annotations

PAYLOADS = {  # RFC 7296 3.2
    33: "SA",
    34: "KE",
    35: "IDi",
    36: "IDr",
    37: "CERT",
    38: "CERTREQ",
    39: "AUTH",
    40: "Nonce",
    41: "Notify",
    42: "Delete",
    43: "VendorID",
    44: "TSi",
    45: "TSr",
    46: "SK",
    47: "CP",
    48: "EAP",
    53: "SKF",
}
NOTIFIES = {  # RFC 7296 3.10.1, RFC 5026, RFC 5685, RFC 7383, RFC 7427, TS 24.303 B.2
    1: "UNSUPPORTED_CRITICAL_PAYLOAD",
    4: "INVALID_IKE_SPI",
    5: "INVALID_MAJOR_VERSION",
    7: "INVALID_SYNTAX",
    9: "INVALID_MESSAGE_ID",
    11: "INVALID_SPI",
    14: "NO_PROPOSAL_CHOSEN",
    17: "INVALID_KE_PAYLOAD",
    24: "AUTHENTICATION_FAILED",
    34: "SINGLE_PAIR_REQUIRED",
    35: "NO_ADDITIONAL_SAS",
    36: "INTERNAL_ADDRESS_FAILURE",
    37: "FAILED_CP_REQUIRED",
    38: "TS_UNACCEPTABLE",
    39: "INVALID_SELECTORS",
    40: "UNACCEPTABLE_ADDRESSES",
    41: "UNEXPECTED_NAT_DETECTED",
    42: "USE_ASSIGNED_HoA",
    43: "TEMPORARY_FAILURE",
    44: "CHILD_SA_NOT_FOUND",
    16384: "INITIAL_CONTACT",
    16385: "SET_WINDOW_SIZE",
    16388: "NAT_DETECTION_SOURCE_IP",
    16389: "NAT_DETECTION_DESTINATION_IP",
    16390: "COOKIE",
    16391: "USE_TRANSPORT_MODE",
    16393: "REKEY_SA",
    16394: "ESP_TFC_PADDING_NOT_SUPPORTED",
    16396: "MOBIKE_SUPPORTED",
    16404: "MULTIPLE_AUTH_SUPPORTED",
    16405: "ANOTHER_AUTH_FOLLOWS",
    16406: "REDIRECT_SUPPORTED",
    16407: "REDIRECT",
    16408: "REDIRECTED_FROM",
    16428: "IFOM_CAPABILITY",
    16430: "IKEV2_FRAGMENTATION_SUPPORTED",
    16431: "SIGNATURE_HASH_ALGORITHMS",
}
FIRST_STATUS_NOTIFY = 16384  # below are errors (RFC 7296 3.10.1)
CONFIGURATION_TYPES = {1: "request", 2: "reply", 3: "set", 4: "ack"}
CONFIGURATION_ATTRIBUTES = {
    1: "INTERNAL_IP4_ADDRESS",
    3: "INTERNAL_IP4_DNS",
    8: "INTERNAL_IP6_ADDRESS",
    10: "INTERNAL_IP6_DNS",
    16: "MIP6_HOME_PREFIX",
    19: "HOME_AGENT_ADDRESS",
}
IDENTITY_TYPES = {1: "IPV4", 2: "FQDN", 3: "RFC822", 5: "IPV6", 9: "DER_DN", 11: "KEY_ID"}
AUTH_METHODS = {1: "RSA", 2: "SHARED_KEY", 9: "ECDSA_256", 10: "ECDSA_384", 11: "ECDSA_521", 14: "SIGNATURE"}
PROTOCOLS = {1: "IKE", 2: "AH", 3: "ESP"}
EAP_CODES = {1: "request", 2: "response", 3: "success", 4: "failure"}
EAP_TYPES = {1: "Identity", 3: "Nak", 23: "AKA", 50: "AKA'"}
AKA_SUBTYPES = {  # RFC 4187 11
    1: "Challenge",
    2: "Authentication-Reject",
    4: "Synchronization-Failure",
    5: "Identity",
    12: "Notification",
    13: "Reauthentication",
    14: "Client-Error",
}
MOBILITY_OPTIONS = {  # mobility options, IANA
    0: "Pad1",
    1: "PadN",
    2: "BINDING_REFRESH_ADVICE",
    3: "ALTERNATE_CARE_OF_ADDRESS",
    4: "NONCE_INDICES",
    5: "BINDING_AUTHORIZATION_DATA",
    6: "MOBILE_NETWORK_PREFIX",
    8: "MOBILE_NODE_IDENTIFIER",
    9: "AUTHENTICATION",
    10: "REPLAY_PROTECTION",
    17: "DNS_UPDATE",
    20: "SERVICE_SELECTION",
    22: "HOME_NETWORK_PREFIX",
    29: "IPV4_HOME_ADDRESS",
    30: "IPV4_ADDRESS_ACKNOWLEDGEMENT",
    31: "NAT_DETECTION",
    32: "IPV4_CARE_OF_ADDRESS",
    35: "BINDING_IDENTIFIER",
    44: "FLOW_SUMMARY",
    45: "FLOW_IDENTIFICATION",
}
DNS_TYPES = {1: "A", 5: "CNAME", 28: "AAAA", 33: "SRV"}
ECHO = {
    ("icmpv6", 128): "echo_request",
    ("icmpv6", 129): "echo_reply",
    ("icmp", 8): "echo_request",
    ("icmp", 0): "echo_reply",
}
ICMPV6_ERRORS = {1: "destination unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem"}
IPV4_IN, IPV6_IN, UDP, ESP, ICMPV6, MOBILITY = 4, 41, 17, 50, 58, 135
BU_ACKNOWLEDGEMENT_STATUS_SEQUENCE = 135  # RFC 6275 6.1.8: sequence number out of window
FIRST_REJECTING_STATUS = 128
LIFETIME_UNIT = 4  # seconds (RFC 6275 6.1.7)
