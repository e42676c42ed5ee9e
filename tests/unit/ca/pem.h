/* Two CSRs and two certificates of www.example.com and example.com (RSA 2048), and the SHA-256 of their public keys. */
#ifndef DCVD_TEST_PEM_H
#define DCVD_TEST_PEM_H

#define CSR_A \
        "-----BEGIN CERTIFICATE REQUEST-----\n" \
        "MIICmTCCAYECAQAwGjEYMBYGA1UEAwwPd3d3LmV4YW1wbGUuY29tMIIBIjANBgkq\n" \
        "hkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAlRwywnTAvjQ4tRSlYpXc4mOuTLuRHi0q\n" \
        "DVv9qfV87XJtVFLdYSMBsTCeGKfqTZViFG7Pz2C9ic8PKzSUceZjd9I+lYdJ2631\n" \
        "mrE8UL+h3iXxlQp/Jds1AAmRo2Nxr37Oe1rMsFSL8Vyra912oVJEbODd8oQOFzgE\n" \
        "ohmONuIXZ3MTCyxMJywY3RFZdPOqBQsDF7kTjzhBKLK6K1Qn7yUJw0KLiqSYRrsr\n" \
        "IFBtGndzSbVg0ZqOscHJZTduJtVBqibY04BFuttO+oyANNrTHRlqfCtXMrT+cheP\n" \
        "akMZHgtC4EnLiXK9BQZQEnXCxwmR4aTdWMtsCeaIFbF/VsBqq5kcdQIDAQABoDow\n" \
        "OAYJKoZIhvcNAQkOMSswKTAnBgNVHREEIDAegg93d3cuZXhhbXBsZS5jb22CC2V4\n" \
        "YW1wbGUuY29tMA0GCSqGSIb3DQEBCwUAA4IBAQAOOWmq5h3nqjLNyam9td+v3jS2\n" \
        "h+cO+8uZvVU0tuy4pn57HTk96sxQ+y5WAn3rQKq3ddx9m6ZVfW+u6MQ7msLsBiNW\n" \
        "ReNRwyAz5AgkzvyRV5QtZb2EwvPhDke5wnh1mlI14kVmIRcsocUrE1YwBhy9H2zV\n" \
        "QZZO27uxmtfbbtuNw/wmqUp84QrN/MUsePSi6YWuSLZp9kGHyg425oz+GumFOGdj\n" \
        "x2FoHGpN/7SMx2sE4siD54XwIRedwB4pUNvMBuB49y7MlhPRNXhWJtL9jRvxZq/Q\n" \
        "keRuzeZNiYQWoV54VJyKN0x7+z04APGYJkgC2E68XlD6M5LRiNT+bfmM/u/c\n" \
        "-----END CERTIFICATE REQUEST-----\n"
#define CRT_A \
        "-----BEGIN CERTIFICATE-----\n" \
        "MIIDDjCCAfagAwIBAgIUfnDSHhSJgA/+hGypOdfU7kp9t60wDQYJKoZIhvcNAQEL\n" \
        "BQAwGjEYMBYGA1UEAwwPd3d3LmV4YW1wbGUuY29tMCAXDTI2MTEyMzEwNTAyOVoY\n" \
        "DzMwMjYwMzI2MTA1MDI5WjAaMRgwFgYDVQQDDA93d3cuZXhhbXBsZS5jb20wggEi\n" \
        "MA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIBAQCVHDLCdMC+NDi1FKVildziY65M\n" \
        "u5EeLSoNW/2p9Xztcm1UUt1hIwGxMJ4Yp+pNlWIUbs/PYL2Jzw8rNJRx5mN30j6V\n" \
        "h0nbrfWasTxQv6HeJfGVCn8l2zUACZGjY3Gvfs57WsywVIvxXKtr3XahUkRs4N3y\n" \
        "hA4XOASiGY424hdncxMLLEwnLBjdEVl086oFCwMXuROPOEEosrorVCfvJQnDQouK\n" \
        "pJhGuysgUG0ad3NJtWDRmo6xwcllN24m1UGqJtjTgEW62076jIA02tMdGWp8K1cy\n" \
        "tP5yF49qQxkeC0LgScuJcr0FBlASdcLHCZHhpN1Yy2wJ5ogVsX9WwGqrmRx1AgMB\n" \
        "AAGjSjBIMCcGA1UdEQQgMB6CD3d3dy5leGFtcGxlLmNvbYILZXhhbXBsZS5jb20w\n" \
        "HQYDVR0OBBYEFMWBEim0WorTGsKzLs6fPJ6lR17nMA0GCSqGSIb3DQEBCwUAA4IB\n" \
        "AQAiPznogV7ktdmkfyRGgVcIPGABBiKyiWGDt1rVrJ6CUKmTSm6+rcNiusePFB3O\n" \
        "iNe9+lksLMRFafuUuI0gTlAxl83+j4ckiASw0UifgW1PpkJdjhS5UjvIGlTYaK5v\n" \
        "fcjh74EDVhUiac11+WTs7vnqEUr2nkYnSrQ0Mytj6cwUaR936KtscBww+o40SFkP\n" \
        "jdAz161P6SXH/SOPwpt3ximn53VtqWeNFxwqiI6AIfh5jM1Tscc0w9YVAjz23xG8\n" \
        "jyF6BDWybUGPd0Vnm0Ty4HadsvFw+gJEG2SiIwiAE6vuNyeD5ZV6Cd5hf4nWt9wE\n" \
        "LSRdyznBwHINSonPSlmey4HA\n" \
        "-----END CERTIFICATE-----\n"
#define SPKI_A "24afb067bab46163776ea05104b55823ec7ea48090deb055117f83b48d7b8197"

#define CSR_B \
        "-----BEGIN CERTIFICATE REQUEST-----\n" \
        "MIICmTCCAYECAQAwGjEYMBYGA1UEAwwPd3d3LmV4YW1wbGUuY29tMIIBIjANBgkq\n" \
        "hkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAq3aNXz51aJRjsyVpHc7s6Mcd2JJJLrjN\n" \
        "41gDijlBx9TzaRxlp8YrCG+tPNhkZ6QadaYonFHCUFacd6Iz8axhmxVUSJO1RO2M\n" \
        "KxEKU2mhlcaW+ai1yvsE+jpjeArh/DVJQowQpp/HtbHXfZhzGH8YejPDbJVWUIL4\n" \
        "FA3J4qM7H/oLBG7dqS48VQGb3w/jRujRcZiMcjBaiX2boYN4Y4LNH7XW6SHnkZdP\n" \
        "vT0ROvWWBSLgTge833yVEwFT2psVY/5QNYLrM5hIwsEH1NYFN7F+f26xQ3lUthM2\n" \
        "bI2lCl13fV4p8/xW+yPbNKiu/N12DX6u4s/gHPtS9S8Apl44jB2jFQIDAQABoDow\n" \
        "OAYJKoZIhvcNAQkOMSswKTAnBgNVHREEIDAegg93d3cuZXhhbXBsZS5jb22CC2V4\n" \
        "YW1wbGUuY29tMA0GCSqGSIb3DQEBCwUAA4IBAQA51QFohDfqEg2wC2Ph5NNhq/mP\n" \
        "/fUNkRBV8JHco35o798isYu/51nIYmfks1H/4MycNDRemnUoCA/yjb4uVt/BmKwS\n" \
        "pdsZm9KCjydzMkvuRscT8P0gfDZpQNk9CK28G1gHxa+K0tuqGoaP7+/whni5rxRT\n" \
        "nmQFTN32pa7kLWoz6sIoUc2TiRUCUK4V+el2qfHMnjQREGd4GM83RgDqbhckDzPu\n" \
        "BjOhNFQGS3iQqUMiB8jGgKht3MBQT+fDEaMp0ldumqtg7L/ePngUzXecFiBW8oCP\n" \
        "vtZmNkrqV77M+2+UrJkWTnwFQekhUBfs/arsSh0gxFPU21wvQPXXQh4ba+Kb\n" \
        "-----END CERTIFICATE REQUEST-----\n"
#define CRT_B \
        "-----BEGIN CERTIFICATE-----\n" \
        "MIIDDjCCAfagAwIBAgIURhWBTwDT8BfH3GrEMulLqc5KxmkwDQYJKoZIhvcNAQEL\n" \
        "BQAwGjEYMBYGA1UEAwwPd3d3LmV4YW1wbGUuY29tMCAXDTI2MTEyMzEwNTAyOVoY\n" \
        "DzMwMjYwMzI2MTA1MDI5WjAaMRgwFgYDVQQDDA93d3cuZXhhbXBsZS5jb20wggEi\n" \
        "MA0GCSqGSIb3DQEBAQUAA4IBDwAwggEKAoIBAQCrdo1fPnVolGOzJWkdzuzoxx3Y\n" \
        "kkkuuM3jWAOKOUHH1PNpHGWnxisIb6082GRnpBp1piicUcJQVpx3ojPxrGGbFVRI\n" \
        "k7VE7YwrEQpTaaGVxpb5qLXK+wT6OmN4CuH8NUlCjBCmn8e1sdd9mHMYfxh6M8Ns\n" \
        "lVZQgvgUDcniozsf+gsEbt2pLjxVAZvfD+NG6NFxmIxyMFqJfZuhg3hjgs0ftdbp\n" \
        "IeeRl0+9PRE69ZYFIuBOB7zffJUTAVPamxVj/lA1guszmEjCwQfU1gU3sX5/brFD\n" \
        "eVS2EzZsjaUKXXd9Xinz/Fb7I9s0qK783XYNfq7iz+Ac+1L1LwCmXjiMHaMVAgMB\n" \
        "AAGjSjBIMCcGA1UdEQQgMB6CD3d3dy5leGFtcGxlLmNvbYILZXhhbXBsZS5jb20w\n" \
        "HQYDVR0OBBYEFDUJ9b+2gNTiMZBMjqCxf2gKxeCtMA0GCSqGSIb3DQEBCwUAA4IB\n" \
        "AQBmG7LevIz7rCQ8MV47rteuC+HLtsLKoZkd3j3Iz2SQT0qKz/UhQ+PJvxH9DowK\n" \
        "eUPIgXNMl+aHHP+AKoQXwqLfllTKWInDmK96gdttWMS54eS5UbehQ0COncK3fQeG\n" \
        "I7t5fNNPMMYkpzKZP7b+VDFpC1Kea31o+2ehZKYoO1Yh89Gq4WyPQec4OcGgsapP\n" \
        "Ysxd7e4qEM342ZPbj+K9W7W8p2Ph39tDxCgSxTBnnuDQi0GxBsPHnD4bw/+62Iak\n" \
        "RXJ6SCxgUYERat0X8/bpXS+ToZ3MVbO/yq3TU8vdjNwhpWcCf6CTUFw47ZJQzmI+\n" \
        "54uUjwoDetf+ylRaBOrA6t/0\n" \
        "-----END CERTIFICATE-----\n"
#define SPKI_B "495b56b585f68f955a64ab69faec2d3215159cb95a3cefe0972c31069239d1a4"

#endif
