"""`python -m tsrep_deploy --model runs/first --port 3000`"""

from .launch import main

if __name__ == "__main__":
    main()
